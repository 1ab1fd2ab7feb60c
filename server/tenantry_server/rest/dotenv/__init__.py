"""dotenv.cloud's dialect: `/api/v1/…`, snake_case, answers under `data`, ULIDs."""
