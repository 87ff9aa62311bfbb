import { customType } from 'drizzle-orm/pg-core';

/** A transaction id of 64 bits. */
export const xid8 = customType<{ data: bigint; driverData: string }>({
  dataType: () => 'xid8',
  fromDriver: (text) => BigInt(text),
  toDriver: (xid) => String(xid),
});
