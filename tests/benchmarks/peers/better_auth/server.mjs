// better-auth with e-mail and password and the organization plugin, as its documentation sets it up; PostgreSQL by PG* variables.
import { createServer } from "node:http";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { toNodeHandler } from "better-auth/node";
import { organization } from "better-auth/plugins";
import pg from "pg";

const [, , port] = process.argv;
const options = {
  baseURL: `http://127.0.0.1:${port}`,
  secret: "a secret of the benchmarks, which keeps nothing secret",
  database: new pg.Pool({ max: 16 }),
  emailAndPassword: { enabled: true },
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
  plugins: [organization()],
};
const { runMigrations } = await getMigrations(options);
await runMigrations();
createServer(toNodeHandler(betterAuth(options))).listen(Number(port), "127.0.0.1");
