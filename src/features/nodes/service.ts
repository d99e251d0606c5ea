export { limitsOf, type NodeRow, nodeSpecOf } from './spec.ts'
