CREATE TABLE "ensemble_configs" (
	"org_id" text PRIMARY KEY NOT NULL,
	"config" jsonb NOT NULL,
	"updated_by" text,
	"created_at" bigint NOT NULL,
	"updated_at" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "model_marks" (
	"org_id" text NOT NULL,
	"model" text NOT NULL,
	"available" boolean NOT NULL,
	"reason" text NOT NULL,
	"until" bigint,
	"updated_by" text,
	"created_at" bigint NOT NULL,
	"updated_at" bigint NOT NULL,
	CONSTRAINT "model_marks_org_id_model_pk" PRIMARY KEY("org_id","model")
);
--> statement-breakpoint
CREATE TABLE "routing_policies" (
	"id" text PRIMARY KEY NOT NULL,
	"org_id" text NOT NULL,
	"name" text NOT NULL,
	"attach_kind" text,
	"attach_id" text,
	"rules" jsonb NOT NULL,
	"version" integer NOT NULL,
	"deleted_at" bigint,
	"created_at" bigint NOT NULL,
	"updated_at" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "routing_policy_versions" (
	"policy_id" text NOT NULL,
	"org_id" text NOT NULL,
	"version" integer NOT NULL,
	"rules" jsonb NOT NULL,
	"created_by" text,
	"created_at" bigint NOT NULL,
	CONSTRAINT "routing_policy_versions_policy_id_version_pk" PRIMARY KEY("policy_id","version")
);
--> statement-breakpoint
CREATE TABLE "model_stats" (
	"org_id" text NOT NULL,
	"hour" bigint NOT NULL,
	"provider" text NOT NULL,
	"model" text NOT NULL,
	"task_type" text NOT NULL,
	"calls" integer NOT NULL,
	"ok" integer NOT NULL,
	"errors" jsonb NOT NULL,
	"latency_p50_ms" integer,
	"latency_p95_ms" integer,
	"ttft_p50_ms" integer,
	"ttft_p95_ms" integer,
	"tokens_per_second" double precision,
	"prompt_tokens" bigint NOT NULL,
	"completion_tokens" bigint NOT NULL,
	"completion_p75" integer,
	"cost_nanos" bigint NOT NULL,
	"quality_mean" double precision,
	"quality_count" integer NOT NULL,
	CONSTRAINT "model_stats_org_id_hour_provider_model_task_type_pk" PRIMARY KEY("org_id","hour","provider","model","task_type")
);
--> statement-breakpoint
ALTER TABLE "decisions" ADD COLUMN "propensity" double precision;--> statement-breakpoint
ALTER TABLE "decisions" ADD COLUMN "relaxed" jsonb;--> statement-breakpoint
ALTER TABLE "decisions" ADD COLUMN "routing_policy_id" text;--> statement-breakpoint
ALTER TABLE "decisions" ADD COLUMN "routing_policy_version" integer;--> statement-breakpoint
ALTER TABLE "decisions" ADD COLUMN "task_type" text;--> statement-breakpoint
ALTER TABLE "decisions" ADD COLUMN "complexity" text;--> statement-breakpoint
ALTER TABLE "decisions" ADD COLUMN "experiment" jsonb;--> statement-breakpoint
ALTER TABLE "decisions" ADD COLUMN "inputs" jsonb;--> statement-breakpoint
ALTER TABLE "decisions" ADD COLUMN "ensemble" jsonb;--> statement-breakpoint
ALTER TABLE "usage_ledger" ADD COLUMN "parent_request_id" text;--> statement-breakpoint
ALTER TABLE "providers" ADD COLUMN "max_concurrency" integer;--> statement-breakpoint
ALTER TABLE "ensemble_configs" ADD CONSTRAINT "ensemble_configs_org_id_orgs_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."orgs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "model_marks" ADD CONSTRAINT "model_marks_org_id_orgs_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."orgs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "routing_policies" ADD CONSTRAINT "routing_policies_org_id_orgs_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."orgs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "routing_policy_versions" ADD CONSTRAINT "routing_policy_versions_policy_id_routing_policies_id_fk" FOREIGN KEY ("policy_id") REFERENCES "public"."routing_policies"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "routing_policy_versions" ADD CONSTRAINT "routing_policy_versions_org_id_orgs_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."orgs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "model_stats" ADD CONSTRAINT "model_stats_org_id_orgs_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."orgs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "routing_policies_org_id_created_at_index" ON "routing_policies" USING btree ("org_id","created_at");--> statement-breakpoint
CREATE UNIQUE INDEX "routing_policies_org_id_name_index" ON "routing_policies" USING btree ("org_id","name") WHERE deleted_at is null;--> statement-breakpoint
CREATE UNIQUE INDEX "routing_policies_org_id_attach_kind_attach_id_index" ON "routing_policies" USING btree ("org_id","attach_kind","attach_id") WHERE deleted_at is null and attach_kind is not null;--> statement-breakpoint
CREATE INDEX "routing_policy_versions_org_id_index" ON "routing_policy_versions" USING btree ("org_id");--> statement-breakpoint
CREATE INDEX "usage_ledger_org_id_parent_request_id_index" ON "usage_ledger" USING btree ("org_id","parent_request_id") WHERE parent_request_id is not null;