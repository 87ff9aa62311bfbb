/** What the operations of clients that stay connected hold in memory, and when one more is refused. */
import { type DocumentNode, GraphQLError, parse } from 'graphql';
import { expect, test } from 'vitest';
import { DEFAULT_LIMITS } from '../../src/platform/subscription-limits.js';
import { documentBytes } from '../../src/server/operations/document-size.js';
import { type OperationSlot, OperationSlots } from '../../src/server/websocket/operation-slots.js';

const document = (name: string) => parse(`query ${name} { viewer { id name handle } }`);
const [A, B, C] = ['A', 'B', 'C'].map(document) as [DocumentNode, DocumentNode, DocumentNode];
const SIZE = documentBytes(A);
/** Room for what absent variables count, and less than a document. */
const NONE = 1000;

function slotsWith(maxHeldBytesPerViewer: number, maxHeldBytes = maxHeldBytesPerViewer) {
  const slots = new OperationSlots({ ...DEFAULT_LIMITS, maxHeldBytes, maxHeldBytesPerViewer });
  return {
    slots,
    hold(viewer: string, held: DocumentNode, variables?: unknown): OperationSlot {
      const slot = slots.take({ subscriptions: 0 }, viewer);
      if (slot instanceof GraphQLError) throw slot;
      try {
        slot.hold(held, variables);
      } catch (error) {
        slot.release();
        throw error;
      }
      return slot;
    },
  };
}

test('a viewer cannot hold more documents than its bound, and can hold another one when one was released', () => {
  const { hold, slots } = slotsWith(2 * SIZE + NONE, 10 * SIZE);
  const first = hold('ada', A);
  hold('ada', B);
  expect(() => hold('ada', C)).toThrow(/viewer's .* can take at most .* MiB/);
  hold('bob', C);
  first.release();
  first.release();
  hold('ada', C);
  expect(slots.taken).toBe(3);
  expect(() => hold('ada', A)).toThrow(/viewer's/);
});

test('a document that operations share counts once, until the last of them is released', () => {
  const { hold } = slotsWith(2 * SIZE + NONE, 10 * SIZE);
  const shared = [hold('ada', A), hold('ada', A), hold('ada', A)];
  hold('bob', A);
  hold('ada', B);
  for (const slot of shared.slice(1)) slot.release();
  expect(() => hold('ada', C)).toThrow(/viewer's/);
  shared[0]?.release();
  hold('ada', C);
});

test('the variables of each operation count', () => {
  const { hold } = slotsWith(SIZE + 100_000);
  const variables = { text: 'x'.repeat(20_000) };
  hold('ada', A, variables);
  const second = hold('ada', A, variables);
  expect(() => hold('ada', A, variables)).toThrow(/viewer's/);
  second.release();
  hold('ada', A, variables);
});

test('all viewers together cannot hold more than the bound of the process', () => {
  const { hold } = slotsWith(10 * SIZE, 2 * SIZE + NONE);
  const slot = hold('ada', A);
  hold('bob', B);
  hold('bob', A);
  const refused = expect.objectContaining({
    message: expect.stringContaining('This process has its maximum of documents'),
    extensions: { code: 'TOO_MANY_SUBSCRIPTIONS', http: { status: 503 } },
  });
  expect(() => hold('eve', C)).toThrow(refused);
  slot.release();
  expect(() => hold('eve', C)).toThrow(refused); // bob still holds A and B
});

test('a document is found by its text for as long as an operation holds it', () => {
  const { hold, slots } = slotsWith(10 * SIZE);
  const text = A.loc?.source.body as string;
  const [first, second] = [hold('ada', A), hold('bob', A)];
  expect(slots.documentOf(text)).toBe(A);
  first.release();
  expect(slots.documentOf(text)).toBe(A);
  second.release();
  expect(slots.documentOf(text)).toBeUndefined();
});
