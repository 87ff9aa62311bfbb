/** Writes of webhooks: only OWNERs of the project manage them. */
import { and, count, eq, sql } from 'drizzle-orm';
import { z } from 'zod';
import { changedFields } from '../../db/differences.js';
import { type DeliveryId, newId, type ProjectId, type WebhookId } from '../../db/ids.js';
import type { Writer } from '../../db/writer.js';
import type { Transaction, Transactor } from '../../engine/postgres/index.js';
import { Faults, readForm, requireField } from '../../graphql/form.js';
import { fault, idInput, listInput, notNull, parseInput, Refusal, UserErrorCode } from '../../graphql/user-error.js';
import { SECOND } from '../../std/time.js';
import { notFound, requireOwner } from '../projects/access.js';
import { lockExclusive } from '../projects/project-lock.js';
import { LISTED_COLUMNS, type ListedWebhook } from './webhook.loaders.js';
import { type WebhookDeliveryRow, WebhookEvent, webhookDeliveries, webhookStates, webhooks } from './webhook.table.js';
import type {
  CreateWebhookInput,
  DeleteWebhookInput,
  RedeliverWebhookInput,
  RotateWebhookSecretInput,
  UpdateWebhookInput,
} from './webhook.type.js';
import { readWebhookUrl } from './webhook-address.js';
import { LEASE_MS } from './webhook-queue.js';
import { newSecret } from './webhook-signature.js';

/** Each event of a project is a delivery of each. The list of them is one cached value. */
export const MAX_OF_PROJECT = 10;
const KINDS = Object.values(WebhookEvent);

const urlInput = (allowPrivate: boolean) =>
  z.string().transform((given, context) => {
    const read = readWebhookUrl(given, allowPrivate);
    if ('url' in read) return read.url;
    context.addIssue(fault('INVALID', read.fault));
    return z.NEVER;
  });
/** Without repetitions, in one order. */
const eventsInput = listInput(z.enum(WebhookEvent), { min: 1, max: KINDS.length, what: 'kinds of changes' }).transform(
  (events) => KINDS.filter((kind) => events.includes(kind)),
);
const webhookInput = z.object({ id: idInput('webhook') });
const redeliverInput = z.object({ deliveryId: idInput('delivery') });

const PROJECT = { what: 'project', path: ['input', 'projectId'] };
const WEBHOOK = { what: 'webhook', path: ['input', 'id'] };
const DELIVERY = { what: 'delivery', path: ['input', 'deliveryId'] };

export class WebhookService {
  readonly #transactor: Transactor;
  readonly #createInput;
  readonly #updateInput;

  /** @param allowPrivate whether addresses of private networks and of this machine are accepted */
  constructor(transactor: Transactor, { allowPrivate }: { readonly allowPrivate: boolean }) {
    this.#transactor = transactor;
    const url = urlInput(allowPrivate);
    this.#createInput = z.object({ projectId: idInput('project'), url, events: eventsInput.nullish() });
    this.#updateInput = webhookInput.extend({
      url: notNull(url),
      events: notNull(eventsInput),
      enabled: notNull(z.boolean()),
    });
  }

  create(by: Writer, given: CreateWebhookInput) {
    const form = readForm(this.#createInput, given);
    const projectId = requireField(form, 'projectId');
    return this.#transactor.transact(async (tx) => {
      const faults = new Faults(form);
      await lockExclusive(tx, projectId);
      await faults.require(() => requireOwner(tx, by.viewerId, projectId, PROJECT));
      await faults.check(() => requireRoom(tx, projectId));
      const { url, events } = faults.complete(form);
      const secret = newSecret();
      const [webhook] = await tx
        .insert(webhooks)
        .values({ id: newId('webhook'), projectId, url, secret, events: events ?? KINDS })
        .returning(LISTED_COLUMNS);
      const { id } = webhook as ListedWebhook;
      await tx.insert(webhookStates).values({ webhookId: id });
      return { webhook: webhook as ListedWebhook, secret };
    }, by);
  }

  update(by: Writer, given: UpdateWebhookInput) {
    const form = readForm(this.#updateInput, given);
    const id = requireField(form, 'id');
    return this.#transactor.transact(async (tx) => {
      const faults = new Faults(form);
      const webhook = await faults.require(() => lockOwnWebhook(tx, by, id));
      const { id: _, ...changes } = faults.complete(form);
      return { webhook: await change(tx, webhook, changes) };
    }, by);
  }

  rotateSecret(by: Writer, given: RotateWebhookSecretInput) {
    const { id } = parseInput(webhookInput, given);
    return this.#transactor.transact(async (tx) => {
      const webhook = await lockOwnWebhook(tx, by, id);
      const secret = newSecret();
      await tx.update(webhooks).set({ secret }).where(eq(webhooks.id, id));
      return { webhook, secret };
    }, by);
  }

  remove(by: Writer, given: DeleteWebhookInput) {
    const { id } = parseInput(webhookInput, given);
    return this.#transactor.transact(async (tx) => {
      await lockOwnWebhook(tx, by, id);
      await tx.delete(webhooks).where(eq(webhooks.id, id));
      return { deletedWebhookId: id };
    }, by);
  }

  /** A new delivery of the same message; one that is pending becomes due in its place. */
  redeliver(by: Writer, given: RedeliverWebhookInput) {
    const { deliveryId } = parseInput(redeliverInput, given);
    return this.#transactor.transact(async (tx) => {
      const delivery = await findDelivery(tx, deliveryId);
      const webhook = delivery && (await lockOwnWebhook(tx, by, delivery.webhookId, DELIVERY));
      if (webhook === undefined) throw notFound(DELIVERY.what, DELIVERY.path);
      if (!webhook.enabled) {
        throw new Refusal(UserErrorCode.INVALID, 'the webhook is disabled: enable it first', DELIVERY.path);
      }
      return { delivery: await repeat(tx, deliveryId) };
    }, by);
  }
}

/** @throws Refusal */
async function requireRoom(tx: Transaction, projectId: ProjectId): Promise<void> {
  const [found] = await tx.select({ webhooks: count() }).from(webhooks).where(eq(webhooks.projectId, projectId));
  if (found !== undefined && found.webhooks >= MAX_OF_PROJECT) {
    const message = `the project has ${found.webhooks} webhooks; expected at most ${MAX_OF_PROJECT}`;
    throw new Refusal(UserErrorCode.LIMIT, message, PROJECT.path);
  }
}

/** The webhook, with the lock of its project. @throws Refusal unless the viewer is an OWNER of that */
async function lockOwnWebhook(tx: Transaction, { viewerId }: Writer, id: WebhookId, named = WEBHOOK) {
  const find = () => tx.select(LISTED_COLUMNS).from(webhooks).where(eq(webhooks.id, id));
  const [seen] = await find();
  if (seen === undefined) throw notFound(named.what, named.path);
  await lockExclusive(tx, seen.projectId);
  await requireOwner(tx, viewerId, seen.projectId, named);
  const [webhook] = await find();
  if (webhook === undefined) throw notFound(named.what, named.path);
  return webhook;
}

interface WebhookChanges {
  readonly url?: string | undefined;
  readonly events?: string[] | undefined;
  readonly enabled?: boolean | undefined;
}

async function change(tx: Transaction, webhook: ListedWebhook, changes: WebhookChanges): Promise<ListedWebhook> {
  const different = changedFields(webhook, changes);
  const { id, enabled, events } = webhook;
  const sameEvents = changes.events === undefined || String(changes.events) === String(events);
  if (different === undefined || (sameEvents && Object.keys(different).join() === 'events')) return webhook;
  const toggled = changes.enabled !== undefined && changes.enabled !== enabled;
  const disabling = { disabledReason: 'OWNER', disabledAt: sql`now()` } as const;
  const enabling = { disabledReason: null, disabledAt: null };
  const [changed] = await tx
    .update(webhooks)
    .set({ ...different, ...(toggled && (changes.enabled ? enabling : disabling)) })
    .where(eq(webhooks.id, id))
    .returning(LISTED_COLUMNS);
  if (toggled && changes.enabled) {
    const since = sql`pg_current_snapshot()::text`;
    await tx.update(webhookStates).set({ since, failingSince: null }).where(eq(webhookStates.webhookId, id));
  }
  return changed as ListedWebhook;
}

async function findDelivery(tx: Transaction, id: DeliveryId): Promise<WebhookDeliveryRow | undefined> {
  const [found] = await tx.select().from(webhookDeliveries).where(eq(webhookDeliveries.id, id));
  return found;
}

async function repeat(tx: Transaction, id: DeliveryId): Promise<WebhookDeliveryRow> {
  const delivery = await findDelivery(tx, id);
  if (delivery === undefined) throw notFound(DELIVERY.what, DELIVERY.path); // trimmed meanwhile
  const { webhookId, messageId, taskId, type, body } = delivery;
  const { dueAt } = webhookDeliveries;
  const isWaiting = and(
    eq(webhookDeliveries.webhookId, webhookId),
    eq(webhookDeliveries.messageId, messageId),
    eq(webhookDeliveries.state, 'PENDING'),
  );
  const [waiting] = await tx
    .update(webhookDeliveries)
    // What is due sooner than a lease ends may be an attempt that is being made.
    .set({
      dueAt: sql`case when ${dueAt} > now() + make_interval(secs => ${LEASE_MS / SECOND}) then now() else ${dueAt} end`,
    })
    .where(isWaiting)
    .returning();
  if (waiting !== undefined) return waiting;
  const [repeated] = await tx
    .insert(webhookDeliveries)
    .values({ id: newId('delivery'), webhookId, messageId, taskId, type, body })
    .returning();
  return repeated as WebhookDeliveryRow;
}
