CREATE TABLE "audio_runs" (
	"id" text PRIMARY KEY NOT NULL,
	"org_id" text NOT NULL,
	"request_id" text NOT NULL,
	"operation" text NOT NULL,
	"model" text,
	"provider" text,
	"ok" boolean NOT NULL,
	"error_code" text,
	"ms" integer NOT NULL,
	"audio_ms" integer,
	"characters" integer,
	"language" text,
	"confidence" real,
	"sha256" text,
	"created_by" text,
	"created_at" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "transcripts" (
	"id" text PRIMARY KEY NOT NULL,
	"org_id" text NOT NULL,
	"text" text NOT NULL,
	"language" text,
	"duration_ms" integer,
	"segments" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"words" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"source_id" text,
	"created_by" text,
	"expires_at" bigint,
	"created_at" bigint NOT NULL,
	"updated_at" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "jobs" (
	"id" text PRIMARY KEY NOT NULL,
	"org_id" text NOT NULL,
	"kind" text NOT NULL,
	"status" text NOT NULL,
	"priority" text DEFAULT 'normal' NOT NULL,
	"progress" real DEFAULT 0 NOT NULL,
	"detail" jsonb,
	"input" jsonb NOT NULL,
	"result" jsonb,
	"result_key" text,
	"error" jsonb,
	"key_id" text NOT NULL,
	"key_kind" text NOT NULL,
	"user_id" text,
	"attempts" integer DEFAULT 0 NOT NULL,
	"lease_until" bigint,
	"lease_id" text,
	"sent_at" bigint,
	"due_at" bigint NOT NULL,
	"started_at" bigint,
	"finished_at" bigint,
	"expires_at" bigint NOT NULL,
	"created_at" bigint NOT NULL,
	"updated_at" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "nodes" (
	"id" text PRIMARY KEY NOT NULL,
	"org_id" text NOT NULL,
	"name" text NOT NULL,
	"base_url" text NOT NULL,
	"speech_url" text,
	"metrics_url" text,
	"credential" text,
	"dek_version" integer,
	"credential_hint" text,
	"priority" integer DEFAULT 50 NOT NULL,
	"enabled" boolean DEFAULT true NOT NULL,
	"drain" boolean DEFAULT false NOT NULL,
	"limits" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"allowed_pulls" jsonb,
	"deleted_at" bigint,
	"created_at" bigint NOT NULL,
	"updated_at" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "chunks" (
	"id" text PRIMARY KEY NOT NULL,
	"org_id" text NOT NULL,
	"source_id" text NOT NULL,
	"generation" text NOT NULL,
	"is_current" boolean NOT NULL,
	"chunk_index" integer NOT NULL,
	"content" text NOT NULL,
	"start_offset" integer NOT NULL,
	"end_offset" integer NOT NULL,
	"token_count" integer NOT NULL,
	"content_sha256" text NOT NULL,
	"simhash" text NOT NULL,
	"language" "regconfig" NOT NULL,
	"tsv" "tsvector" GENERATED ALWAYS AS (to_tsvector(language, content)) STORED,
	"metadata" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"created_at" bigint NOT NULL,
	"updated_at" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "duplicate_pairs" (
	"id" text PRIMARY KEY NOT NULL,
	"org_id" text NOT NULL,
	"original_content_id" text NOT NULL,
	"duplicate_content_id" text NOT NULL,
	"similarity_score" real NOT NULL,
	"duplicate_type" text NOT NULL,
	"confidence" real,
	"created_at" bigint NOT NULL,
	"updated_at" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "entities" (
	"id" text PRIMARY KEY NOT NULL,
	"org_id" text NOT NULL,
	"name" text NOT NULL,
	"canonical_name" text NOT NULL,
	"entity_type" text NOT NULL,
	"description" text,
	"properties" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"confidence" real,
	"mention_count" integer DEFAULT 1 NOT NULL,
	"created_at" bigint NOT NULL,
	"updated_at" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "relations" (
	"id" text PRIMARY KEY NOT NULL,
	"org_id" text NOT NULL,
	"source_entity_id" text NOT NULL,
	"target_entity_id" text NOT NULL,
	"relation_type" text NOT NULL,
	"description" text,
	"confidence" real,
	"evidence" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"created_at" bigint NOT NULL,
	"updated_at" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "semantic_searches" (
	"id" text PRIMARY KEY NOT NULL,
	"org_id" text NOT NULL,
	"request_id" text NOT NULL,
	"query" text NOT NULL,
	"mode" text NOT NULL,
	"space_id" text,
	"top_k" integer NOT NULL,
	"results" integer NOT NULL,
	"best_score" real,
	"ms" integer NOT NULL,
	"created_by" text,
	"created_at" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "semantic_sources" (
	"org_id" text NOT NULL,
	"source_id" text NOT NULL,
	"generation" text NOT NULL,
	"content_sha256" text,
	"chunk_count" integer NOT NULL,
	"language" text,
	"metadata" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"created_at" bigint NOT NULL,
	"updated_at" bigint NOT NULL,
	CONSTRAINT "semantic_sources_org_id_source_id_pk" PRIMARY KEY("org_id","source_id")
);
--> statement-breakpoint
CREATE TABLE "uploads" (
	"id" text PRIMARY KEY NOT NULL,
	"org_id" text NOT NULL,
	"status" text NOT NULL,
	"filename" text,
	"mime" text,
	"size_bytes" bigint,
	"sha256" text,
	"created_by" text NOT NULL,
	"expires_at" bigint NOT NULL,
	"created_at" bigint NOT NULL,
	"updated_at" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "images" (
	"id" text PRIMARY KEY NOT NULL,
	"org_id" text NOT NULL,
	"sha256" text NOT NULL,
	"r2_key" text,
	"filename" text,
	"mime" text NOT NULL,
	"width" integer NOT NULL,
	"height" integer NOT NULL,
	"size_bytes" integer NOT NULL,
	"phash" text,
	"caption" text,
	"tags" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"source_id" text,
	"metadata" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"created_by" text,
	"created_at" bigint NOT NULL,
	"updated_at" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "vision_runs" (
	"id" text PRIMARY KEY NOT NULL,
	"org_id" text NOT NULL,
	"request_id" text NOT NULL,
	"operation" text NOT NULL,
	"model" text,
	"provider" text,
	"ok" boolean NOT NULL,
	"error_code" text,
	"ms" integer NOT NULL,
	"tokens" integer,
	"confidence" real,
	"image_sha256" text,
	"image_bytes" integer,
	"created_by" text,
	"created_at" bigint NOT NULL
);
--> statement-breakpoint
ALTER TABLE "audio_runs" ADD CONSTRAINT "audio_runs_org_id_orgs_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."orgs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "transcripts" ADD CONSTRAINT "transcripts_org_id_orgs_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."orgs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "jobs" ADD CONSTRAINT "jobs_org_id_orgs_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."orgs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "nodes" ADD CONSTRAINT "nodes_org_id_orgs_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."orgs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "chunks" ADD CONSTRAINT "chunks_org_id_orgs_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."orgs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "duplicate_pairs" ADD CONSTRAINT "duplicate_pairs_org_id_orgs_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."orgs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "entities" ADD CONSTRAINT "entities_org_id_orgs_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."orgs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "relations" ADD CONSTRAINT "relations_org_id_orgs_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."orgs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "relations" ADD CONSTRAINT "relations_source_entity_id_entities_id_fk" FOREIGN KEY ("source_entity_id") REFERENCES "public"."entities"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "relations" ADD CONSTRAINT "relations_target_entity_id_entities_id_fk" FOREIGN KEY ("target_entity_id") REFERENCES "public"."entities"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "semantic_searches" ADD CONSTRAINT "semantic_searches_org_id_orgs_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."orgs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "semantic_sources" ADD CONSTRAINT "semantic_sources_org_id_orgs_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."orgs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "uploads" ADD CONSTRAINT "uploads_org_id_orgs_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."orgs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "images" ADD CONSTRAINT "images_org_id_orgs_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."orgs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "vision_runs" ADD CONSTRAINT "vision_runs_org_id_orgs_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."orgs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "audio_runs_org_id_created_at_index" ON "audio_runs" USING btree ("org_id","created_at");--> statement-breakpoint
CREATE INDEX "audio_runs_created_at_index" ON "audio_runs" USING btree ("created_at");--> statement-breakpoint
CREATE INDEX "transcripts_org_id_created_at_index" ON "transcripts" USING btree ("org_id","created_at");--> statement-breakpoint
CREATE INDEX "transcripts_expires_at_index" ON "transcripts" USING btree ("expires_at");--> statement-breakpoint
CREATE INDEX "jobs_org_id_created_at_index" ON "jobs" USING btree ("org_id","created_at");--> statement-breakpoint
CREATE INDEX "jobs_due_at_index" ON "jobs" USING btree ("due_at") WHERE status in ('queued', 'running');--> statement-breakpoint
CREATE INDEX "jobs_expires_at_index" ON "jobs" USING btree ("expires_at");--> statement-breakpoint
CREATE INDEX "nodes_org_id_created_at_index" ON "nodes" USING btree ("org_id","created_at");--> statement-breakpoint
CREATE UNIQUE INDEX "nodes_org_id_name_index" ON "nodes" USING btree ("org_id","name") WHERE deleted_at is null;--> statement-breakpoint
CREATE INDEX "chunks_org_id_source_id_generation_index" ON "chunks" USING btree ("org_id","source_id","generation");--> statement-breakpoint
CREATE INDEX "chunks_org_id_content_sha256_index" ON "chunks" USING btree ("org_id","content_sha256");--> statement-breakpoint
CREATE INDEX "chunks_tsv_index" ON "chunks" USING gin ("tsv") WHERE is_current;--> statement-breakpoint
CREATE UNIQUE INDEX "duplicate_pairs_contents" ON "duplicate_pairs" USING btree ("org_id","original_content_id","duplicate_content_id");--> statement-breakpoint
CREATE UNIQUE INDEX "entities_org_id_entity_type_canonical_name_index" ON "entities" USING btree ("org_id","entity_type","canonical_name");--> statement-breakpoint
CREATE INDEX "entities_org_id_created_at_index" ON "entities" USING btree ("org_id","created_at");--> statement-breakpoint
CREATE UNIQUE INDEX "relations_ends" ON "relations" USING btree ("org_id","source_entity_id","target_entity_id","relation_type");--> statement-breakpoint
CREATE INDEX "relations_org_id_target_entity_id_index" ON "relations" USING btree ("org_id","target_entity_id");--> statement-breakpoint
CREATE INDEX "relations_org_id_created_at_index" ON "relations" USING btree ("org_id","created_at");--> statement-breakpoint
CREATE INDEX "semantic_searches_org_id_created_at_index" ON "semantic_searches" USING btree ("org_id","created_at");--> statement-breakpoint
CREATE INDEX "semantic_searches_created_at_index" ON "semantic_searches" USING btree ("created_at");--> statement-breakpoint
CREATE INDEX "uploads_org_id_created_at_index" ON "uploads" USING btree ("org_id","created_at");--> statement-breakpoint
CREATE INDEX "uploads_expires_at_index" ON "uploads" USING btree ("expires_at");--> statement-breakpoint
CREATE INDEX "images_org_id_created_at_index" ON "images" USING btree ("org_id","created_at");--> statement-breakpoint
CREATE UNIQUE INDEX "images_org_id_sha256_index" ON "images" USING btree ("org_id","sha256");--> statement-breakpoint
CREATE INDEX "images_org_id_phash_index" ON "images" USING btree ("org_id","phash");--> statement-breakpoint
CREATE INDEX "vision_runs_org_id_created_at_index" ON "vision_runs" USING btree ("org_id","created_at");--> statement-breakpoint
CREATE INDEX "vision_runs_created_at_index" ON "vision_runs" USING btree ("created_at");