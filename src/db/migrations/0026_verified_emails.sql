ALTER TABLE "users" ADD COLUMN "verified_email" text;--> statement-breakpoint
CREATE UNIQUE INDEX "users_verified_email" ON "users" USING btree ("verified_email") WHERE "users"."verified_email" is not null;--> statement-breakpoint
ALTER TABLE "users" ADD CONSTRAINT "users_verified_email_text" CHECK (length("users"."verified_email") between 3 and 254 and "users"."verified_email" = lower("users"."verified_email"));
