CREATE TABLE "decisions" (
	"id" text PRIMARY KEY NOT NULL,
	"org_id" text NOT NULL,
	"request_id" text NOT NULL,
	"key_id" text NOT NULL,
	"user_id" text,
	"asked_model" text NOT NULL,
	"strategy" text NOT NULL,
	"candidates" jsonb NOT NULL,
	"excluded" jsonb NOT NULL,
	"attempts" jsonb NOT NULL,
	"chosen" text,
	"outcome" text NOT NULL,
	"cache" text NOT NULL,
	"is_stream" boolean NOT NULL,
	"policy_version" text NOT NULL,
	"prices_version" text NOT NULL,
	"created_at" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "own_prices" (
	"id" text PRIMARY KEY NOT NULL,
	"org_id" text NOT NULL,
	"provider_id" text NOT NULL,
	"model" text NOT NULL,
	"figures" jsonb NOT NULL,
	"created_at" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "provider_credentials" (
	"id" text PRIMARY KEY NOT NULL,
	"org_id" text NOT NULL,
	"provider_id" text NOT NULL,
	"label" text NOT NULL,
	"secret" text NOT NULL,
	"dek_version" integer NOT NULL,
	"last4" text NOT NULL,
	"is_active" boolean DEFAULT true NOT NULL,
	"last_used_at" bigint,
	"cooldown_until" bigint,
	"created_at" bigint NOT NULL,
	"updated_at" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "providers" (
	"id" text PRIMARY KEY NOT NULL,
	"org_id" text NOT NULL,
	"name" text NOT NULL,
	"kind" text NOT NULL,
	"base_url" text NOT NULL,
	"vendor" text,
	"models" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"enabled" boolean DEFAULT true NOT NULL,
	"priority" integer DEFAULT 50 NOT NULL,
	"weight" integer DEFAULT 1 NOT NULL,
	"timeout_ms" integer DEFAULT 60000 NOT NULL,
	"connect_timeout_ms" integer DEFAULT 10000 NOT NULL,
	"max_retries" integer DEFAULT 2 NOT NULL,
	"quirks" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"region" text,
	"deleted_at" bigint,
	"created_at" bigint NOT NULL,
	"updated_at" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "responses" (
	"id" text PRIMARY KEY NOT NULL,
	"org_id" text NOT NULL,
	"key_id" text NOT NULL,
	"user_id" text,
	"model" text NOT NULL,
	"status" text NOT NULL,
	"previous_response_id" text,
	"input" text NOT NULL,
	"output" text NOT NULL,
	"dek_version" integer NOT NULL,
	"expires_at" bigint NOT NULL,
	"created_at" bigint NOT NULL
);
--> statement-breakpoint
ALTER TABLE "decisions" ADD CONSTRAINT "decisions_org_id_orgs_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."orgs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "own_prices" ADD CONSTRAINT "own_prices_org_id_orgs_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."orgs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "provider_credentials" ADD CONSTRAINT "provider_credentials_org_id_orgs_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."orgs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "provider_credentials" ADD CONSTRAINT "provider_credentials_provider_id_providers_id_fk" FOREIGN KEY ("provider_id") REFERENCES "public"."providers"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "providers" ADD CONSTRAINT "providers_org_id_orgs_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."orgs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "responses" ADD CONSTRAINT "responses_org_id_orgs_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."orgs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "decisions_org_id_created_at_index" ON "decisions" USING btree ("org_id","created_at");--> statement-breakpoint
CREATE INDEX "decisions_org_id_request_id_index" ON "decisions" USING btree ("org_id","request_id");--> statement-breakpoint
CREATE INDEX "own_prices_org_id_provider_id_index" ON "own_prices" USING btree ("org_id","provider_id");--> statement-breakpoint
CREATE INDEX "provider_credentials_org_id_provider_id_index" ON "provider_credentials" USING btree ("org_id","provider_id");--> statement-breakpoint
CREATE UNIQUE INDEX "provider_credentials_provider_id_label_index" ON "provider_credentials" USING btree ("provider_id","label");--> statement-breakpoint
CREATE INDEX "providers_org_id_created_at_index" ON "providers" USING btree ("org_id","created_at");--> statement-breakpoint
CREATE UNIQUE INDEX "providers_org_id_name_index" ON "providers" USING btree ("org_id","name") WHERE deleted_at is null;--> statement-breakpoint
CREATE INDEX "responses_org_id_created_at_index" ON "responses" USING btree ("org_id","created_at");--> statement-breakpoint
CREATE INDEX "responses_expires_at_index" ON "responses" USING btree ("expires_at");