/**
 * Composition root. Builds, on top of the core (core.ts), the features in order of their dependencies, the schema and
 * the server.
 */
import 'reflect-metadata'; // must come first: type-graphql's decorators need it
import type { FastifyInstance } from 'fastify';
import type { GraphQLSchema } from 'graphql';
import { type Core, type CoreOptions, createCore } from './core.js';
import { ActivityResolver } from './domain/admin/activity.resolver.js';
import { AdminResolver } from './domain/admin/admin.resolver.js';
import { UserStateResolver } from './domain/admin/user-state.resolver.js';
import { CommentResolver, TaskCommentsResolver } from './domain/comments/comment.resolver.js';
import { CommentService } from './domain/comments/comment.service.js';
import { EXPORT_PATH, ExportResolver } from './domain/export/export.resolver.js';
import { ExportLinks } from './domain/export/export-links.js';
import { signedExports } from './domain/export/signed-exports.js';
import { historyResolvers } from './domain/history/history.resolver.js';
import { Idempotency } from './domain/idempotency/idempotency.js';
import { LabelFieldsResolver, LabelResolver } from './domain/labels/label.resolver.js';
import { LabelService } from './domain/labels/label.service.js';
import { type MarkdownHtml, markdownHtml } from './domain/markdown/markdown.js';
import { RenderThread } from './domain/markdown/render-thread.js';
import { NodeResolver } from './domain/node.resolver.js';
import { InvitationResolver, ProjectInvitationsResolver } from './domain/projects/invitation.resolver.js';
import { InvitationService } from './domain/projects/invitation.service.js';
import { PeopleResolver } from './domain/projects/people.resolver.js';
import { ProjectEvents } from './domain/projects/project.events.js';
import { ProjectResolver } from './domain/projects/project.resolver.js';
import { ProjectService } from './domain/projects/project.service.js';
import { ProjectChangeResolver } from './domain/projects/project-change.resolver.js';
import { DEFAULT_TRASH_DAYS } from './domain/projects/trashed.type.js';
import { TrashedProjectResolver } from './domain/projects/trashed-project.resolver.js';
import { TrashedProjectService } from './domain/projects/trashed-project.service.js';
import { projectPartTags, recordedTables } from './domain/registry.js';
import { allSources } from './domain/sources.js';
import { ManyTasksResolver } from './domain/tasks/many-tasks.resolver.js';
import { ManyTasksService } from './domain/tasks/many-tasks.service.js';
import { TaskEvents } from './domain/tasks/task.events.js';
import { TaskResolver } from './domain/tasks/task.resolver.js';
import { TaskService } from './domain/tasks/task.service.js';
import { ConflictError } from './domain/tasks/task.type.js';
import { unassign } from './domain/tasks/task.writes.js';
import { TaskChangeResolver } from './domain/tasks/task-change.resolver.js';
import { TaskChangesSinceResolver } from './domain/tasks/task-changes-since.resolver.js';
import { LabelTasksResolver, ProjectTasksResolver, UserTasksResolver } from './domain/tasks/task-lists.resolver.js';
import { TaskPresentationResolver } from './domain/tasks/task-presentation.resolver.js';
import { TaskRelationResolver } from './domain/tasks/task-relation.resolver.js';
import { TaskRelationService } from './domain/tasks/task-relation.service.js';
import { TrashUpkeep } from './domain/trash/trash-upkeep.js';
import { ProjectTrashResolver, TrashedTaskResolver } from './domain/trash/trashed-task.resolver.js';
import { TrashedTaskService } from './domain/trash/trashed-task.service.js';
import { Identities, type IdentitiesOptions } from './domain/users/identities.js';
import { refuseDeactivated, requireUser, UserResolver } from './domain/users/user.resolver.js';
import { UserService } from './domain/users/user.service.js';
import {
  ProjectWebhooksResolver,
  WebhookDeliveryResolver,
  WebhookResolver,
} from './domain/webhooks/webhook.resolver.js';
import { WebhookService } from './domain/webhooks/webhook.service.js';
import { reportRestored } from './domain/webhooks/webhook-restored.js';
import { WebhookWorker } from './domain/webhooks/webhook-worker.js';
import type { Store } from './engine/cache/index.js';
import type { MakeLoads } from './graphql/context.js';
import type { VerifiedToken } from './graphql/identity.js';
import { type BuiltSchema, buildApiSchema } from './graphql/schema.js';
import { version } from './platform/config-words.js';
import type { HttpSecurityOptions } from './server/http/http-security.js';
import { RateLimits } from './server/rate-limit/rate-limit.js';
import { RateLimitResolver } from './server/rate-limit/rate-limit.resolver.js';
import { RatePoints, type RatePointsOptions } from './server/rate-limit/rate-points.js';
import { createServer, type ServerOptions } from './server/server.js';
import { shared } from './std/shared.js';

export interface AppOptions
  extends CoreOptions,
    HttpSecurityOptions,
    Pick<
      ServerOptions,
      | 'introspection'
      | 'persistedDocuments'
      | 'answerTimeoutMs'
      | 'maxResponseBytes'
      | 'maxUnreadBytes'
      | 'unreadStallMs'
      | 'subscriptionLimits'
      | 'explorer'
      | 'console'
      | 'timeLimits'
      | 'compression'
      | 'loggedRequests'
      | 'slowOperationMs'
      | 'knownOperations'
    > {
  /** Builds what the API reads and writes through. Default `createCore`; the benchmark measures others beside it. */
  readonly makeCore?: (options: CoreOptions) => Core & { readonly makeLoads?: MakeLoads };
  /** @throws UNAUTHENTICATED */
  readonly verifyToken: (token: string) => Promise<VerifiedToken>;
  /** Defaults to `refuse`. */
  readonly unknownUsers?: IdentitiesOptions['unknownUsers'];
  /** How long deleted tasks and projects can be restored. Defaults to 30. */
  readonly trashDays?: number;
  readonly webhooks?: WebhookOptions;
  /** Points per viewer and window. Absent: no rate limit. */
  readonly rateLimit?: (RatePointsOptions & { readonly points: number; readonly seconds: number }) | undefined;
  /** Signs the addresses of exports. Absent: none are made. */
  readonly exportSecret?: string | undefined;
  /** Address of the web application, without a slash at the end. Default: the origin that the server listens on. */
  readonly publicUrl?: string | undefined;
  /** What /metrics shows, in Prometheus's text format. Default: the metrics of this process. */
  readonly metricsText?: () => Promise<string>;
}

export interface WebhookOptions {
  /** Whether this process delivers messages. Default: no. */
  readonly deliver?: boolean;
  /** Whether they may go to addresses of private networks and of this machine. Default: no. */
  readonly allowPrivate?: boolean;
}

export interface App extends Omit<Core, 'readiness'> {
  readonly readiness: ServerOptions['readiness'];
  readonly server: FastifyInstance;
  readonly schema: GraphQLSchema;
  readonly taskEvents: TaskEvents;
  readonly projectEvents: ProjectEvents;
  readonly trashUpkeep: TrashUpkeep;
  readonly webhookWorker: WebhookWorker;
  /** Tells load balancers, by /readyz, to send requests elsewhere. Those that still come are answered. */
  drain(): void;
}

/** Creates the API, not yet listening. The relay has run once, so the cache can serve. */
export async function createApp(options: AppOptions): Promise<App> {
  const { makeCore = createCore, trashDays = DEFAULT_TRASH_DAYS } = options;
  const core = makeCore(options);
  const taskEvents = new TaskEvents({ ...core, store: options.store, tables: recordedTables });
  const projectEvents = new ProjectEvents({ store: options.store, partTags: projectPartTags });
  const trashUpkeep = new TrashUpkeep({ ...core, trashDays });
  const renderThread = new RenderThread();
  const { allowPrivate = false, deliver = false } = options.webhooks ?? {};
  const webhookWorker = new WebhookWorker({
    ...{ ...core, allowPrivate, userAgent: `tasks-api/${version}` },
    onOutcome: (outcome) => core.metrics.webhookDelivery(outcome),
  });
  const exportLinks = options.exportSecret === undefined ? undefined : new ExportLinks(options.exportSecret);
  const { schema, policies } = createSchema({
    ...core,
    exportLinks,
    store: options.store,
    taskEvents,
    projectEvents,
    publicUrl: () => options.publicUrl ?? originOf(server),
    html: markdownHtml(core.cache, renderThread),
    guardRoots: options.checkCoverage,
    trashDays,
    allowPrivateWebhooks: allowPrivate,
  });
  core.cache.declare(policies.map(({ name }) => name));
  const { ratePoints, rateLimits } = rateLimiting(options, core);
  let stopping = false;
  const readiness = shared(async () => ({ ...(await core.readiness()), stopping }));
  const server: FastifyInstance = await createServer({
    ...options,
    ...core,
    metrics: { ...core.metrics, ...(options.metricsText && { text: options.metricsText }) },
    readiness,
    schema,
    verifyToken: verifierOf(options, core, rateLimits),
    verifyClaims: options.verifyToken,
    requireUser,
    refuseDeactivated,
    rateLimits,
    ...(exportLinks && { exports: { path: EXPORT_PATH, read: signedExports(exportLinks, options.databaseUrl) } }),
  });
  try {
    await ratePoints?.ready();
    await core.requireTriggers();
    await core.relay.start();
    trashUpkeep.start();
    if (deliver) webhookWorker.start();
  } catch (error) {
    ratePoints?.close();
    await core.close();
    throw error;
  }
  return {
    ...core,
    server,
    schema,
    taskEvents,
    projectEvents,
    trashUpkeep,
    webhookWorker,
    readiness,
    drain() {
      stopping = true;
    },
    async close() {
      await server.close();
      ratePoints?.close();
      projectEvents.close();
      await taskEvents.close();
      await trashUpkeep.stop();
      await renderThread.close();
      await webhookWorker.stop();
      await core.close();
    },
  };
}

/** A server that listens on all addresses is named `localhost`, as one that does not listen yet. */
function originOf(server: FastifyInstance): string {
  const { address, family, port } = server.addresses().find((one) => typeof one === 'object') ?? {
    address: '::',
    family: 'IPv6',
    port: 80,
  };
  const named = family === 'IPv6' ? `[${address}]` : address;
  return `http://${['0.0.0.0', '[::]'].includes(named) ? 'localhost' : named}:${port}`;
}

/** Empty without a rate limit. */
function rateLimiting(
  { rateLimit }: AppOptions,
  { relay }: Core,
): { ratePoints?: RatePoints; rateLimits?: RateLimits } {
  if (rateLimit === undefined) return {};
  const ratePoints = new RatePoints({ ...rateLimit, owned: () => relay.owned });
  return { ratePoints, rateLimits: new RateLimits({ ...rateLimit, source: ratePoints }) };
}

/** Verifies a token and finds its user. */
function verifierOf(
  { verifyToken, unknownUsers = 'refuse' }: AppOptions,
  core: Core,
  rateLimits: RateLimits | undefined,
): ServerOptions['verifyToken'] {
  const identities = new Identities({
    ...core,
    unknownUsers,
    admitNewUser: async (address) => rateLimits?.admitNewUser(address),
  });
  return async (token, from) => identities.of(await verifyToken(token), from);
}

interface SchemaParts extends Pick<Core, 'transactor' | 'db' | 'cache' | 'activity'> {
  readonly store: Store;
  readonly taskEvents: TaskEvents;
  readonly projectEvents: ProjectEvents;
  readonly exportLinks?: ExportLinks | undefined;
  /** Without a slash at the end. */
  readonly publicUrl: () => string;
  readonly html: MarkdownHtml;
  readonly guardRoots?: boolean;
  readonly trashDays: number;
  readonly allowPrivateWebhooks?: boolean;
}

/** The schema and its cache policies; also for commands that only print them. */
export function createSchema({
  transactor,
  db,
  cache,
  activity,
  store,
  taskEvents,
  projectEvents,
  exportLinks,
  publicUrl,
  html,
  guardRoots = false,
  trashDays,
  allowPrivateWebhooks = false,
}: SchemaParts): BuiltSchema {
  const idempotency = new Idempotency({ transactor, db, store });
  const userService = new UserService(transactor);
  const resolvers = [
    new NodeResolver(),
    new RateLimitResolver(),
    new UserResolver(userService),
    new UserStateResolver(userService),
    new ProjectResolver(new ProjectService(transactor, idempotency, unassign)),
    new TrashedProjectResolver(new TrashedProjectService(transactor, reportRestored), trashDays),
    new LabelFieldsResolver(),
    new PeopleResolver(),
    new ProjectInvitationsResolver(),
    new InvitationResolver(new InvitationService(transactor)),
    new LabelResolver(new LabelService(transactor, idempotency)),
    new TaskResolver(new TaskService(transactor, idempotency)),
    new TaskRelationResolver(new TaskRelationService(transactor)),
    new ManyTasksResolver(new ManyTasksService(idempotency)),
    new TaskPresentationResolver(publicUrl, html),
    new TaskChangeResolver(taskEvents),
    new ProjectChangeResolver(projectEvents),
    new TaskChangesSinceResolver(),
    new ProjectTasksResolver(),
    new UserTasksResolver(),
    new LabelTasksResolver(),
    new CommentResolver(new CommentService(transactor, idempotency), html),
    new TaskCommentsResolver(),
    new TrashedTaskResolver(new TrashedTaskService(transactor, idempotency), trashDays),
    new ProjectTrashResolver(),
    new ProjectWebhooksResolver(),
    new WebhookResolver(new WebhookService(transactor, { allowPrivate: allowPrivateWebhooks })),
    new WebhookDeliveryResolver(),
    new ExportResolver(exportLinks),
    ...historyResolvers(),
    new AdminResolver({ store, cache, activity, db, policies: () => built.policies }),
    new ActivityResolver(activity),
  ];
  const built = buildApiSchema(resolvers, [ConflictError], allSources, { guardRoots });
  return built;
}
