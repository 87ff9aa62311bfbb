/** Webhooks of a project, for its OWNERs, and the mutations. */
import { Arg, Args, Ctx, FieldResolver, Mutation, Resolver, Root } from 'type-graphql';
import { isId } from '../../db/ids.js';
import { type Context, recordInvalidations } from '../../graphql/context.js';
import { connection, PageArgs, pageOf, pageQuery } from '../../graphql/page.js';
import { toPayload } from '../../graphql/user-error.js';
import { roleIn } from '../projects/access.js';
import { onlyId } from '../projects/project.resolver.js';
import type { ProjectRow } from '../projects/project.table.js';
import { Project } from '../projects/project.type.js';
import {
  type DeliveryPage,
  type DeliveryValue,
  deliveryPages,
  isDeliveryPlace,
  type ListedWebhook,
  webhooksOf,
} from './webhook.loaders.js';
import type { WebhookService } from './webhook.service.js';
import {
  CreateWebhookInput,
  DeleteWebhookInput,
  DeleteWebhookPayload,
  RedeliverWebhookInput,
  RedeliverWebhookPayload,
  RotateWebhookSecretInput,
  UpdateWebhookInput,
  UpdateWebhookPayload,
  Webhook,
  WebhookConnection,
  WebhookDelivery,
  WebhookDeliveryConnection,
  WebhookDeliveryStatus,
  WebhookSecretPayload,
} from './webhook.type.js';

@Resolver(() => Project)
export class ProjectWebhooksResolver {
  @FieldResolver(() => WebhookConnection, {
    description: 'Webhooks of the project, oldest first. Empty unless the viewer is an OWNER.',
  })
  webhooks(@Root() project: ProjectRow, @Ctx() context: Context, @Args(() => PageArgs) args: PageArgs) {
    const query = pageQuery(args, 'webhooks', ([id]) => isId('webhook', id ?? ''));
    const all = () => webhooksFor(context, project);
    return connection({
      list: 'webhooks',
      query,
      page: async () =>
        pageOf(
          (await all()).map(({ id }) => onlyId(id)),
          query,
        ),
      nodes: async (ids) => {
        const found = new Map((await all()).map((webhook) => [webhook.id, webhook]));
        return ids.map((id) => found.get(id) ?? null);
      },
      count: async () => (await all()).length,
    });
  }
}

async function webhooksFor(context: Context, { id }: ProjectRow): Promise<readonly ListedWebhook[]> {
  return (await roleIn(context, id)) === 'OWNER' ? context.loaders.load(webhooksOf, id) : [];
}

@Resolver(() => Webhook)
export class WebhookResolver {
  constructor(private readonly service: WebhookService) {}

  @FieldResolver(() => WebhookDeliveryConnection, {
    description: 'Pending deliveries and the last 100 finished ones of the last 7 days, newest first.',
  })
  deliveries(@Root() webhook: ListedWebhook, @Ctx() { loaders }: Context, @Args(() => PageArgs) args: PageArgs) {
    const query = pageQuery(args, 'deliveries', isDeliveryPlace);
    let reading: Promise<DeliveryPage> | undefined;
    const page = () => {
      reading ??= loaders.loadUncached(deliveryPages, { of: webhook.id, ...query });
      return reading; // once, so that deliveries and cursors are of one page
    };
    return connection({
      list: 'deliveries',
      query,
      page,
      nodes: async () => (await page()).deliveries,
    });
  }

  @Mutation(() => WebhookSecretPayload, {
    description:
      'Creates a webhook: changes of the project that are made from now on are sent to its address, at least once ' +
      'and in order for each task. Requires the role OWNER. A project has at most 10 webhooks.',
  })
  createWebhook(
    @Ctx() context: Context,
    @Arg('input', () => CreateWebhookInput, { description: 'The project, the address and the kinds of changes.' })
    input: CreateWebhookInput,
  ) {
    return toPayload(async () => recordInvalidations(context, await this.service.create(context, input)));
  }

  @Mutation(() => UpdateWebhookPayload, { description: 'Changes a webhook. Requires the role OWNER.' })
  updateWebhook(
    @Ctx() context: Context,
    @Arg('input', () => UpdateWebhookInput, { description: 'The webhook and its new values.' })
    input: UpdateWebhookInput,
  ) {
    return toPayload(async () => recordInvalidations(context, await this.service.update(context, input)));
  }

  @Mutation(() => WebhookSecretPayload, {
    description: 'Replaces the secret of a webhook: it signs every attempt from now on. Requires the role OWNER.',
  })
  rotateWebhookSecret(
    @Ctx() context: Context,
    @Arg('input', () => RotateWebhookSecretInput, { description: 'The webhook.' })
    input: RotateWebhookSecretInput,
  ) {
    return toPayload(async () => recordInvalidations(context, await this.service.rotateSecret(context, input)));
  }

  @Mutation(() => DeleteWebhookPayload, {
    description: 'Deletes a webhook with its deliveries, including those that are pending. Requires the role OWNER.',
  })
  deleteWebhook(
    @Ctx() context: Context,
    @Arg('input', () => DeleteWebhookInput, { description: 'The webhook to delete.' })
    input: DeleteWebhookInput,
  ) {
    return toPayload(async () => recordInvalidations(context, await this.service.remove(context, input)));
  }

  @Mutation(() => RedeliverWebhookPayload, {
    description:
      'Sends the message of a listed delivery again, with the same `webhook-id`. A pending one is sent at once. ' +
      'Requires the role OWNER and an enabled webhook.',
  })
  redeliverWebhook(
    @Ctx() context: Context,
    @Arg('input', () => RedeliverWebhookInput, { description: 'The delivery to repeat.' })
    input: RedeliverWebhookInput,
  ) {
    return toPayload(async () => recordInvalidations(context, await this.service.redeliver(context, input)));
  }
}

@Resolver(() => WebhookDelivery)
export class WebhookDeliveryResolver {
  @FieldResolver(() => WebhookDeliveryStatus, { description: 'State of the delivery.' })
  status(@Root() { state }: DeliveryValue) {
    return state;
  }
}
