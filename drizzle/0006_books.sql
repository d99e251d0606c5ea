CREATE TABLE "prices" (
	"id" text PRIMARY KEY NOT NULL,
	"provider" text NOT NULL,
	"model" text NOT NULL,
	"figures" jsonb NOT NULL,
	"valid_from" text NOT NULL,
	"source" text NOT NULL,
	"created_at" bigint NOT NULL
);
--> statement-breakpoint
ALTER TABLE "budgets" ADD COLUMN "parent_id" text;--> statement-breakpoint
ALTER TABLE "api_keys" ADD COLUMN "root_id" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "usage_ledger" ADD COLUMN "run_id" text;--> statement-breakpoint
ALTER TABLE "usage_ledger" ADD COLUMN "cache_write_1h_tokens" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
CREATE INDEX "prices_provider_model_index" ON "prices" USING btree ("provider","model");--> statement-breakpoint
CREATE INDEX "api_keys_org_id_root_id_index" ON "api_keys" USING btree ("org_id","root_id");