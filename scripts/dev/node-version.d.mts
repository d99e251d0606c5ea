export const required: string
export function isNewEnough(version: string): boolean
