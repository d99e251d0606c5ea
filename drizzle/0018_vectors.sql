create extension if not exists vector;--> statement-breakpoint
CREATE TABLE "embedding_spaces" (
	"id" text PRIMARY KEY NOT NULL,
	"org_id" text NOT NULL,
	"model" text NOT NULL,
	"dimensions" integer NOT NULL,
	"modality" text NOT NULL,
	"is_default" boolean DEFAULT false NOT NULL,
	"created_at" bigint NOT NULL,
	"updated_at" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "embeddings" (
	"org_id" text NOT NULL,
	"space_id" text NOT NULL,
	"owner_kind" text NOT NULL,
	"owner_id" text NOT NULL,
	"source_id" text,
	"dimensions" integer NOT NULL,
	"embedding" vector NOT NULL,
	"created_at" bigint NOT NULL
);
--> statement-breakpoint
ALTER TABLE "embedding_spaces" ADD CONSTRAINT "embedding_spaces_org_id_orgs_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."orgs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "embeddings" ADD CONSTRAINT "embeddings_org_id_orgs_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."orgs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "embeddings" ADD CONSTRAINT "embeddings_space_id_embedding_spaces_id_fk" FOREIGN KEY ("space_id") REFERENCES "public"."embedding_spaces"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "embedding_spaces_org_id_model_dimensions_modality_index" ON "embedding_spaces" USING btree ("org_id","model","dimensions","modality");--> statement-breakpoint
CREATE UNIQUE INDEX "embedding_spaces_org_id_modality_index" ON "embedding_spaces" USING btree ("org_id","modality") WHERE is_default;--> statement-breakpoint
CREATE UNIQUE INDEX "embeddings_org_id_space_id_owner_kind_owner_id_index" ON "embeddings" USING btree ("org_id","space_id","owner_kind","owner_id");--> statement-breakpoint
CREATE INDEX "embeddings_org_id_owner_kind_owner_id_index" ON "embeddings" USING btree ("org_id","owner_kind","owner_id");--> statement-breakpoint
CREATE INDEX "embeddings_hnsw_384" ON "embeddings" USING hnsw ((embedding::vector(384)) vector_cosine_ops) WHERE dimensions = 384;--> statement-breakpoint
CREATE INDEX "embeddings_hnsw_512" ON "embeddings" USING hnsw ((embedding::vector(512)) vector_cosine_ops) WHERE dimensions = 512;--> statement-breakpoint
CREATE INDEX "embeddings_hnsw_768" ON "embeddings" USING hnsw ((embedding::vector(768)) vector_cosine_ops) WHERE dimensions = 768;--> statement-breakpoint
CREATE INDEX "embeddings_hnsw_1024" ON "embeddings" USING hnsw ((embedding::vector(1024)) vector_cosine_ops) WHERE dimensions = 1024;--> statement-breakpoint
CREATE INDEX "embeddings_hnsw_1536" ON "embeddings" USING hnsw ((embedding::vector(1536)) vector_cosine_ops) WHERE dimensions = 1536;