import { DatabaseSync } from "node:sqlite";

/** What another program reads from a log's file: rows of values. */
export function rowsOf(path: string, sql: string): unknown[][] {
  return withDatabase(path, (database) => {
    const statement = database.prepare(sql);
    statement.setReturnArrays(true);
    return statement.all() as unknown as unknown[][];
  });
}

/** What another program does to it. */
export function change(path: string, sql: string): void {
  withDatabase(path, (database) => database.exec(sql));
}

function withDatabase<T>(path: string, use: (database: DatabaseSync) => T): T {
  const database = new DatabaseSync(path);
  try {
    return use(database);
  } finally {
    database.close();
  }
}
