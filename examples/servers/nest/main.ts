import "reflect-metadata";
import { Module } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { createAuthorize, createHandler, readTokens } from "@sse/http";
import { toNodeListener } from "@sse/http/node";
import { createHub } from "@sse/hub";

const hub = createHub();
const authorize = createAuthorize({ tokens: readTokens(process.env.SSE_TOKENS ?? "[]") });
const handler = createHandler({ hub, authorize });

@Module({})
class AppModule {}

const app = await NestFactory.create(AppModule);
app.use("/sse", toNodeListener(handler));

await app.listen(process.env.PORT ?? 3000);
