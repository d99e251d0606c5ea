CREATE TABLE "audit_heads" (
	"org_id" text PRIMARY KEY NOT NULL,
	"seq" bigint NOT NULL,
	"hash" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "limits" (
	"id" text PRIMARY KEY NOT NULL,
	"org_id" text NOT NULL,
	"subject_kind" text NOT NULL,
	"subject_id" text NOT NULL,
	"metric" text NOT NULL,
	"algorithm" text NOT NULL,
	"window_seconds" integer,
	"calendar" text,
	"amount" bigint NOT NULL,
	"burst" bigint,
	"mode" text DEFAULT 'enforce' NOT NULL,
	"preset" text,
	"created_at" bigint NOT NULL,
	"updated_at" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "request_log" (
	"request_id" text PRIMARY KEY NOT NULL,
	"org_id" text NOT NULL,
	"key_id" text,
	"user_id" text,
	"method" text NOT NULL,
	"path" text NOT NULL,
	"status_code" integer NOT NULL,
	"error_code" text,
	"ip" text,
	"user_agent" text,
	"client_request_id" text,
	"response_time_ms" integer NOT NULL,
	"bytes_in" bigint,
	"bytes_out" bigint,
	"created_at" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "secrets" (
	"id" text PRIMARY KEY NOT NULL,
	"org_id" text NOT NULL,
	"name" text NOT NULL,
	"scope_kind" text NOT NULL,
	"scope_id" text NOT NULL,
	"description" text,
	"value" text NOT NULL,
	"dek_version" integer NOT NULL,
	"version" integer NOT NULL,
	"is_active" boolean DEFAULT true NOT NULL,
	"last_used_at" bigint,
	"deleted_at" bigint,
	"created_at" bigint NOT NULL,
	"updated_at" bigint NOT NULL
);
--> statement-breakpoint
ALTER TABLE "audit_log" ADD COLUMN "seq" bigint;--> statement-breakpoint
ALTER TABLE "audit_log" ADD COLUMN "prev_hash" text;--> statement-breakpoint
ALTER TABLE "audit_log" ADD COLUMN "hash" text;--> statement-breakpoint
ALTER TABLE "budgets" ADD COLUMN "name" text;--> statement-breakpoint
ALTER TABLE "budgets" ADD COLUMN "soft_percent" integer[] DEFAULT '{50,80,95}' NOT NULL;--> statement-breakpoint
ALTER TABLE "budgets" ADD COLUMN "deleted_at" bigint;--> statement-breakpoint
ALTER TABLE "usage_ledger" ADD COLUMN "user_id" text;--> statement-breakpoint
ALTER TABLE "usage_ledger" ADD COLUMN "agent_id" text;--> statement-breakpoint
ALTER TABLE "audit_heads" ADD CONSTRAINT "audit_heads_org_id_orgs_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."orgs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "limits" ADD CONSTRAINT "limits_org_id_orgs_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."orgs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "request_log" ADD CONSTRAINT "request_log_org_id_orgs_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."orgs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "secrets" ADD CONSTRAINT "secrets_org_id_orgs_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."orgs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "limits_org_id_subject_kind_subject_id_index" ON "limits" USING btree ("org_id","subject_kind","subject_id");--> statement-breakpoint
CREATE INDEX "request_log_org_id_created_at_index" ON "request_log" USING btree ("org_id","created_at");--> statement-breakpoint
CREATE INDEX "request_log_org_id_key_id_created_at_index" ON "request_log" USING btree ("org_id","key_id","created_at");--> statement-breakpoint
CREATE INDEX "secrets_org_id_created_at_index" ON "secrets" USING btree ("org_id","created_at");--> statement-breakpoint
CREATE UNIQUE INDEX "secrets_org_id_scope_kind_scope_id_name_index" ON "secrets" USING btree ("org_id","scope_kind","scope_id","name") WHERE deleted_at is null;--> statement-breakpoint
CREATE UNIQUE INDEX "audit_log_org_id_seq_index" ON "audit_log" USING btree ("org_id","seq");