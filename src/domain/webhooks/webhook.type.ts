/** GraphQL types of webhooks and their deliveries. */
import { GraphQLDateTime } from 'graphql-scalars';
import { Field, ID, InputType, Int, ObjectType, registerEnumType } from 'type-graphql';
import type { DeliveryId, ProjectId, WebhookId } from '../../db/ids.js';
import { connectionTypes, uncountedConnectionTypes } from '../../graphql/page.js';
import { UserError } from '../../graphql/user-error.js';
import type { DeliveryValue, ListedWebhook } from './webhook.loaders.js';
import { MAX_URL_CHARS, WebhookEvent } from './webhook.table.js';

registerEnumType(WebhookEvent, {
  name: 'WebhookEvent',
  description:
    'A kind of change that a webhook is sent. The message `tasks.changed` says that more changed than is sent one by ' +
    'one, and is sent to every webhook.',
  valuesConfig: {
    TASK_CREATED: { description: 'A task was created or restored in the project, or moved into it: `task.created`.' },
    TASK_UPDATED: { description: 'Fields or labels of a task changed: `task.updated`.' },
    TASK_DELETED: { description: 'A task was deleted from the project, or moved out of it: `task.deleted`.' },
    TASK_COMMENTS_CHANGED: {
      description: 'Comments on a task were created, edited or deleted: `task.comments_changed`.',
    },
  },
});

export enum WebhookDisabledReason {
  OWNER = 'OWNER',
  FAILURES = 'FAILURES',
}
registerEnumType(WebhookDisabledReason, {
  name: 'WebhookDisabledReason',
  description: 'Why a webhook is disabled.',
  valuesConfig: {
    OWNER: { description: 'An OWNER of the project disabled it.' },
    FAILURES: { description: 'Every delivery failed for 7 days.' },
  },
});

export enum WebhookDeliveryStatus {
  PENDING = 'PENDING',
  DELIVERED = 'DELIVERED',
  FAILED = 'FAILED',
}
registerEnumType(WebhookDeliveryStatus, {
  name: 'WebhookDeliveryStatus',
  description: 'State of a delivery.',
  valuesConfig: {
    PENDING: { description: 'The message is being sent, or will be sent or sent again.' },
    DELIVERED: { description: 'The receiver responded with a status from 200 to 299.' },
    FAILED: { description: 'Every attempt failed for 24 hours. It is not sent again, unless by redeliverWebhook.' },
  },
});

const EVENTS = 'Kinds of changes that are sent, 1 to 4.';
const URL_RULE =
  `An http or https address, at most ${MAX_URL_CHARS} characters, without user and password. Addresses of private ` +
  'networks are refused.';

/** Resolves from a row of `webhooks`. */
@ObjectType({
  description: 'An address that is sent the changes of a project. Its secret is shown only when it is made.',
  simpleResolvers: true,
})
export class Webhook {
  @Field(() => ID, { description: 'Id of the webhook, for updateWebhook and deleteWebhook.' })
  id: WebhookId;

  @Field(() => String, { description: 'Address that messages are sent to.' })
  url: string;

  @Field(() => [WebhookEvent], { description: 'Kinds of changes that are sent.' })
  events: WebhookEvent[];

  @Field(() => Boolean, { description: 'Whether messages are sent. Changes made while it is disabled are not sent.' })
  enabled: boolean;

  @Field(() => WebhookDisabledReason, { nullable: true, description: 'Why it is disabled. Null while it is enabled.' })
  disabledReason: ListedWebhook['disabledReason'];

  @Field(() => GraphQLDateTime, { nullable: true, description: 'Since when it is disabled. Null while it is enabled.' })
  disabledAt: string | null;

  @Field(() => GraphQLDateTime, { description: 'When the webhook was created.' })
  createdAt: string;
}

export const { Edge: WebhookEdge, Connection: WebhookConnection } = connectionTypes('Webhook', () => Webhook);

/** Resolves from a `DeliveryValue`. */
@ObjectType({ description: 'A message to a webhook, and how sending it ended.', simpleResolvers: true })
export class WebhookDelivery {
  @Field(() => ID, { description: 'Id of the delivery, for redeliverWebhook.' })
  id: DeliveryId;

  @Field(() => ID, {
    description: 'The header `webhook-id`: id of the first delivery of the message. A repetition has the same.',
  })
  messageId: DeliveryId;

  @Field(() => String, { description: 'Type of the message, such as `task.updated`. The body contains it, too.' })
  type: string;

  @Field(() => String, { description: 'Body of the message, in JSON. It is the same in every attempt.' })
  body: string;

  @Field(() => Int, { description: 'Number of attempts to send it, including one in progress.' })
  attempts: number;

  @Field(() => GraphQLDateTime, { description: 'When the delivery was made from the change, or by redeliverWebhook.' })
  createdAt: string;

  @Field(() => GraphQLDateTime, {
    nullable: true,
    description: 'When it was delivered, or failed for good. Null while it is PENDING.',
  })
  finishedAt: string | null;

  @Field(() => Int, { nullable: true, description: 'HTTP status of the last response. Null if there was none.' })
  responseStatus: number | null;

  @Field(() => String, {
    nullable: true,
    description: 'Up to 4096 bytes of the body of the last response. Null if there was none.',
  })
  responseBody: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'Why the last attempt had no response. Null if it had one, or none was made.',
  })
  error: string | null;
}

export const { Edge: WebhookDeliveryEdge, Connection: WebhookDeliveryConnection } = uncountedConnectionTypes(
  'WebhookDelivery',
  () => WebhookDelivery,
);

@InputType({ description: 'Input for the mutation createWebhook.' })
export class CreateWebhookInput {
  @Field(() => ID, { description: 'Id of the project.' })
  projectId: ProjectId;

  @Field(() => String, { description: `Address that messages are sent to. ${URL_RULE}` })
  url: string;

  @Field(() => [WebhookEvent], { nullable: true, description: `${EVENTS} Defaults to all kinds.` })
  events?: WebhookEvent[] | null;
}

@InputType({ description: 'Input for the mutation updateWebhook. Omitted fields stay unchanged.' })
export class UpdateWebhookInput {
  @Field(() => ID, { description: 'Id of the webhook.' })
  id: WebhookId;

  @Field(() => String, { nullable: true, description: `New address. Cannot be null. ${URL_RULE}` })
  url?: string | null;

  @Field(() => [WebhookEvent], { nullable: true, description: `${EVENTS} Cannot be null.` })
  events?: WebhookEvent[] | null;

  @Field(() => Boolean, {
    nullable: true,
    description: 'Enables or disables the webhook. Cannot be null. Changes made while it was disabled are not sent.',
  })
  enabled?: boolean | null;
}

@InputType({ description: 'Input for the mutation deleteWebhook.' })
export class DeleteWebhookInput {
  @Field(() => ID, { description: 'Id of the webhook.' })
  id: WebhookId;
}

@InputType({ description: 'Input for the mutation rotateWebhookSecret.' })
export class RotateWebhookSecretInput {
  @Field(() => ID, { description: 'Id of the webhook.' })
  id: WebhookId;
}

@InputType({ description: 'Input for the mutation redeliverWebhook.' })
export class RedeliverWebhookInput {
  @Field(() => ID, { description: 'Id of the delivery.' })
  deliveryId: DeliveryId;
}

const ERRORS = 'Why the mutation was refused. Empty if it succeeded.';

@ObjectType({ description: 'Result of createWebhook and rotateWebhookSecret.', simpleResolvers: true })
export class WebhookSecretPayload {
  @Field(() => Webhook, { nullable: true, description: 'The webhook. Null if there are errors.' })
  webhook?: ListedWebhook | null;

  @Field(() => String, {
    nullable: true,
    description: 'The secret that signs its messages, `whsec_` and base64. Shown only here. Null if there are errors.',
  })
  secret?: string | null;

  @Field(() => [UserError], { description: ERRORS })
  errors: UserError[];
}

@ObjectType({ description: 'Result of the mutation updateWebhook.', simpleResolvers: true })
export class UpdateWebhookPayload {
  @Field(() => Webhook, { nullable: true, description: 'The webhook. Null if there are errors.' })
  webhook?: ListedWebhook | null;

  @Field(() => [UserError], { description: ERRORS })
  errors: UserError[];
}

@ObjectType({ description: 'Result of the mutation deleteWebhook.', simpleResolvers: true })
export class DeleteWebhookPayload {
  @Field(() => ID, { nullable: true, description: 'Id of the deleted webhook. Null if there are errors.' })
  deletedWebhookId?: WebhookId | null;

  @Field(() => [UserError], { description: ERRORS })
  errors: UserError[];
}

@ObjectType({ description: 'Result of the mutation redeliverWebhook.', simpleResolvers: true })
export class RedeliverWebhookPayload {
  @Field(() => WebhookDelivery, {
    nullable: true,
    description: 'The new delivery of the same message, or one that was pending already. Null if there are errors.',
  })
  delivery?: DeliveryValue | null;

  @Field(() => [UserError], { description: ERRORS })
  errors: UserError[];
}
