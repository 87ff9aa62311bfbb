/**
 * Composition root: reading it is reading the architecture. On top of the core (core.ts): features in the order in which they
 * may know each other, the schema, the server.
 */
import 'reflect-metadata'; // type-graphql's decorators need it before any of them runs
import type { FastifyInstance } from 'fastify';
import type { GraphQLSchema } from 'graphql';
import { type Core, type CoreOptions, createCore } from './core.js';
import { AdminResolver } from './domain/admin/admin.resolver.js';
import { CommentResolver, TaskCommentsResolver } from './domain/comments/comment.resolver.js';
import { CommentService } from './domain/comments/comment.service.js';
import { Idempotency } from './domain/idempotency/idempotency.js';
import { LabelResolver } from './domain/labels/label.resolver.js';
import { LabelService } from './domain/labels/label.service.js';
import { NodeResolver } from './domain/node.resolver.js';
import { ProjectResolver } from './domain/projects/project.resolver.js';
import { ProjectService } from './domain/projects/project.service.js';
import { allSources } from './domain/sources.js';
import { TaskEvents } from './domain/tasks/task.events.js';
import { ProjectTasksResolver, TaskResolver, UserTasksResolver } from './domain/tasks/task.resolver.js';
import { TaskService } from './domain/tasks/task.service.js';
import { ConflictError } from './domain/tasks/task.type.js';
import { unassign } from './domain/tasks/task.writes.js';
import { TaskChangeResolver } from './domain/tasks/task-change.resolver.js';
import { TaskChangesSinceResolver } from './domain/tasks/task-changes-since.resolver.js';
import { Identities, type IdentitiesOptions } from './domain/users/identities.js';
import { requireUser, UserResolver } from './domain/users/user.resolver.js';
import type { Store } from './engine/cache/index.js';
import type { VerifiedToken } from './graphql/identity.js';
import { type BuiltSchema, buildApiSchema } from './graphql/schema.js';
import type { HttpSecurityOptions } from './server/http/http-security.js';
import { RateLimits } from './server/rate-limit/rate-limit.js';
import { RateLimitResolver } from './server/rate-limit/rate-limit.resolver.js';
import { RatePoints, type RatePointsOptions } from './server/rate-limit/rate-points.js';
import { createServer, type ServerOptions } from './server/server.js';

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
      | 'timeLimits'
    > {
  /** @throws UNAUTHENTICATED */
  readonly verifyToken: (token: string) => Promise<VerifiedToken>;
  /** Default: refuse. */
  readonly unknownUsers?: IdentitiesOptions['unknownUsers'];
  /** Of each viewer, in points. Absent: none. */
  readonly rateLimit?: (RatePointsOptions & { readonly points: number; readonly seconds: number }) | undefined;
}

export interface App extends Core {
  readonly server: FastifyInstance;
  readonly schema: GraphQLSchema;
  readonly taskEvents: TaskEvents;
}

/** The API, not yet listening; its relay has ticked once, so that its cache serves. */
export async function createApp(options: AppOptions): Promise<App> {
  const core = createCore(options);
  const taskEvents = new TaskEvents({ ...core, store: options.store });
  const { schema } = createSchema({ ...core, store: options.store, taskEvents, guardRoots: options.checkCoverage });
  const { rateLimit } = options;
  const ratePoints = rateLimit && new RatePoints({ ...rateLimit, owned: () => core.relay.owned });
  const rateLimits = rateLimit && ratePoints && new RateLimits({ ...rateLimit, source: ratePoints });
  const identities = new Identities({
    ...core,
    unknownUsers: options.unknownUsers ?? 'refuse',
    admitNewUser: async (address) => rateLimits?.admitNewUser(address),
  });
  const server = await createServer({
    ...options,
    ...core,
    schema,
    verifyToken: async (token, from) => identities.of(await options.verifyToken(token), from),
    requireUser,
    rateLimits,
  });
  try {
    await ratePoints?.ready();
    await core.requireTriggers();
    await core.relay.start();
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
    async close() {
      await server.close();
      ratePoints?.close();
      await taskEvents.close();
      await core.close();
    },
  };
}

/** The schema and its table of policies; also for what only prints them. */
export function createSchema({
  transactor,
  db,
  store,
  taskEvents,
  guardRoots = false,
}: Pick<Core, 'transactor' | 'db'> & { store: Store; taskEvents: TaskEvents; guardRoots?: boolean }): BuiltSchema {
  const idempotency = new Idempotency({ transactor, db, store });
  const resolvers = [
    new NodeResolver(),
    new RateLimitResolver(),
    new UserResolver(),
    new ProjectResolver(new ProjectService(transactor, idempotency, unassign)),
    new LabelResolver(new LabelService(transactor, idempotency)),
    new TaskResolver(new TaskService(transactor, idempotency)),
    new TaskChangeResolver(taskEvents),
    new TaskChangesSinceResolver(),
    new ProjectTasksResolver(),
    new UserTasksResolver(),
    new CommentResolver(new CommentService(transactor, idempotency)),
    new TaskCommentsResolver(),
    new AdminResolver({ store, policies: () => built.policies }),
  ];
  const built = buildApiSchema(resolvers, [ConflictError], allSources, { guardRoots });
  return built;
}
