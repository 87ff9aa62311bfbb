/**
 * The mutants of the protocol's model as mutants of this code: for each case in which the model checker finds a violation, the
 * change of ours that takes the same rule away, and the test that then fails. `answer/*` and `ours/*` are ours alone: the model knows of values, not
 * of answers made of them. `run.ts` tries them, and says first where this table is no longer true to the code.
 */

export type Mutant = Applied | Absent;

export interface Applied {
  /** The model's name of it, or ours. */
  readonly name: string;
  readonly what: string;
  readonly file: string;
  /** Exact text, found once, and what takes its place; `file`: where another file is changed, too. */
  readonly replace: readonly (readonly [text: string, mutated: string, file?: string])[];
  /** `<file> > <what its name contains, as it stands in the source>` */
  readonly killedBy: string;
}

/** Of the model alone: why there is nothing here to mutate. */
export interface Absent {
  readonly name: string;
  readonly what: string;
  readonly absent: string;
}

const CACHE = 'src/engine/cache/cache.ts';
const READER = 'src/engine/cache/reader.ts';
const FLIGHTS = 'src/engine/cache/flights.ts';
const STORE_READS = 'src/engine/cache/store-reads.ts';
const ANSWER_CACHE = 'src/engine/cache/answer-cache.ts';
const FENCING = 'src/engine/cache/fencing.ts';
const NEAR = 'src/engine/cache/near-cache.ts';
const CURSOR = 'src/engine/cache/log-cursor.ts';
const ENTRY = 'src/engine/cache/entry.ts';
const BROUGHT = 'src/engine/cache/brought-values.ts';
const READING = 'src/engine/cache/reading.ts';
const REDIS = 'src/engine/redis/redis-store.ts';
const GROUPS = 'src/engine/redis/groups.ts';
const KEYS = 'src/engine/redis/key-layout.ts';
const WRITES = 'src/engine/redis/write-protocol.ts';
const APPLY = 'src/engine/redis/apply.lua';
const RELAY = 'src/engine/postgres/relay.ts';
const SESSION = 'src/engine/cache/read-set.ts';
const PIPELINE = 'src/server/http/request-pipeline.ts';
const CACHED_RESPONSES = 'src/server/http/cached-responses.ts';
const ANSWERS = 'src/engine/graphql/response-cache.ts';
const OUTBOX = 'src/engine/postgres/outbox.ts';
const TRANSACT = 'src/engine/postgres/transactor.ts';
const IDENTITY_FILE = 'src/engine/postgres/database-identity.ts';

const INTERLEAVED = 'test/cache/interleavings.test.ts > nothing old is served, in any order';
const CONFORMANCE = 'test/cache/store-conformance.test.ts';
const SCRIPTS = 'test/cache/redis-scripts.test.ts';
const NEAR_TEST = 'test/cache/near-cache.test.ts';
const BROUGHT_TEST = 'test/cache/brought-values.test.ts';
const SHARED_TEST = 'test/cache/shared-loads.test.ts';
const COUNTEREXAMPLES = 'test/cache/counterexamples.test.ts';
const ON_THE_WAY = 'test/invalidation/counterexamples.test.ts';
const RELAY_TEST = 'test/invalidation/relay.test.ts';
const OUTAGE = 'src/engine/redis/outage.ts';
const OUTAGE_TEST = 'test/cache/outage.test.ts';
const REFUSED_TEST = 'test/invalidation/refused-writes.test.ts';
const ANSWERS_TEST = 'test/api/answers.test.ts';
const IDENTITY_TEST = 'test/invalidation/database-identity.test.ts';
const FOREIGN_TEST = 'test/invalidation/foreign-keys.test.ts';
const KNOWN_TEST = 'test/api/known-operations.test.ts';
const PARTS_TEST = 'test/api/parts.test.ts';
const NESTED = 'test/cache/nested-memory.test.ts';
const CLUSTER = 'test/cache/cluster-memory.test.ts';
const EVICTED = 'test/cache/evicted-fence.test.ts';
const RESEND = 'test/cache/cluster-resend.test.ts';
const LIVE = 'src/engine/cache/live/live-queries.ts';
const LIVE_TEST = 'test/cache/live-queries.test.ts';
const LIVE_RANDOM =
  'test/cache/live-interleavings.test.ts > no answer is stale or out of order, and the last one is current';

const UNASKED = 'return readSet.snapshot || this.#near.provedAfter(readSet.began);';
const INSIDE = 'readSet === undefined || insideLoad()) return false;';
const NAMED = 'if (generation === undefined || generation !== generations[group]) return false;';

const UNGROUND: Applied['replace'] = [['const proved = !uncacheable && holds', 'const proved = holds']];
const SINCE_END: Applied['replace'] = [
  [
    'const holds = since === undefined || near?.holdsSince(since, tags) === true;',
    "const holds = since === undefined || (near !== undefined && since.log !== 'tail');",
  ],
];
const ONLY_POLL: Applied['replace'] = [
  [
    'invalidated: (tags) => this.#onTags(tags, FENCE_WAIT_MS),',
    'invalidated: (tags) => this.#logRead && this.#onTags(tags, FENCE_WAIT_MS),',
  ],
];
const FORGETS: Applied['replace'] = [
  ['if (query.dueSinceMs === undefined) this.#makeDue(query, this.#spread()); // others have their time', ''],
];
const RUN_CHECK: Applied['replace'] = [
  [
    "if ARGV[1] ~= '' and string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') ~= ARGV[1] then return { 'moved' } end",
    '',
  ],
];
const KEY_OF_VIEWER = `\`\${ANSWER_KEY}\${viewer} \${requestKey}\``;
const KEY_OF_ALL = `\`\${ANSWER_KEY}\${viewer.slice(0, 0)} \${requestKey}\``;
const QUESTION_IN_LINES = `\`\${accept}\\n\${origin}\\n\${type}\\n\${body.toString('latin1')}\``;
const QUESTION_IN_ONE = `\`\${accept} \${origin} \${type} \${body.toString('latin1')}\``;
const IDENTITY = `\`\${generation}:\${purge}:\${generations}\``;
const OF_NOTHING = `\`any \${[generation, purge, generations].length}\``;
const OF_GENERATION = `\`\${generation}:\${generations}:\${purge.slice(0, 0)}\``;
const OF_HOME_ALONE = `\`\${generation}:\${purge}:\${generations.slice(0, 0)}\``;

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'mut/fence-as-version',
    what: 'A fence counts as a token: what is loaded under it is stored.',
    file: ENTRY,
    replace: [["    else if (isFence(token)) return { kind: 'fenced' };\n", '']],
    killedBy: INTERLEAVED,
  },
  {
    name: 'ours/last-is-not-last',
    what: 'What was asked behind a statement is taken for all that the write touched, although more statements followed.',
    file: OUTBOX,
    replace: [
      [
        'known !== undefined && known.sent === statementCount(tx) ? known.written',
        'known !== undefined ? known.written',
      ],
    ],
    killedBy: 'test/invalidation/transact.test.ts > is void when',
  },
  {
    name: 'mut/stamps-after-load',
    what: 'An entry is stamped with the tokens read after its load.',
    file: FLIGHTS,
    replace: [
      [
        'const filled = this.#fill(source, misses, values, flights);',
        `for (const flight of flights) this.#enter(flight, 'ended');
      const late: Miss<A>[] = [];
      for (const miss of misses) {
        const stamps = miss.stamps && stampsNow(await this.#options.store.read([], miss.tags), { ...miss, stamps: '' });
        late.push({ ...miss, stamps });
      }
      const filled = this.#fill(source, late, values, flights);`,
      ],
      [
        "import { SharedAbort } from './shared-abort.js';",
        "import { stampsNow } from './monitor.js';\nimport { SharedAbort } from './shared-abort.js';",
      ],
    ],
    killedBy: INTERLEAVED,
  },
  {
    name: 'mut/release-ignores-others',
    what: 'RELEASE takes the whole fence away, also where other writers still hold it.',
    file: 'src/engine/redis/release-tags.lua',
    replace: [['if #left > 0 then', 'if false then']],
    killedBy: `${CONFORMANCE} > release takes out its own id alone; the last one leaves nothing, and the next token is one that never was`,
  },
  {
    name: 'mut/ambiguous-release',
    what: 'The writer releases although it never learnt how its COMMIT ended.',
    file: TRANSACT,
    replace: [['if (refused && !committing) {', 'if (refused || committing) {']],
    killedBy:
      'test/invalidation/transact.test.ts > is reported as an unknown outcome; the fence remains until Postgres says how it ended',
  },
  {
    name: 'mut/timeout-resolver',
    what: 'An old fence is taken away without asking Postgres.',
    file: 'src/engine/postgres/fences.ts',
    replace: [
      [
        'const { finished, database } = await finishedOf(this.#sql(), xids);',
        'const [finished, database] = [xids, undefined];',
      ],
    ],
    killedBy: 'test/invalidation/transact.test.ts > while it goes on, no process that asks Postgres removes its fence',
  },
  {
    name: 'mut/fence-ttl',
    what: 'A fence expires.',
    file: 'src/engine/redis/fence.lua',
    replace: [
      [
        "for from = 1, #fences, 2000 do redis.call('MSET', unpack(fences, from, math.min(from + 1999, #fences))) end",
        "for i = 1, #fences, 2 do redis.call('SET', fences[i], fences[i + 1], 'PX', 2000) end",
      ],
    ],
    killedBy: `${SCRIPTS} > fences, position and released ids never expire; tokens, entries, lease and barrier do`,
  },
  {
    name: 'mut/release-only-if-marker',
    what: 'RELEASE of a tag whose fence was lost does nothing.',
    file: 'src/engine/redis/release-tags.lua',
    replace: [['elseif text then', "elseif text and string.sub(text, 1, 1) == '!' then"]],
    killedBy: `${CONFORMANCE} > of a lost fence still takes away the token that followed it`,
  },
  {
    name: 'mut/repeating-tokens',
    what: 'A tag that lost its token gets one that it had before.',
    file: REDIS,
    replace: [['const token = randomToken();', "const token = 'the-first-one';"]],
    killedBy: `${COUNTEREXAMPLES} > a tag whose token is lost never has one again that an entry was stamped with`,
  },
  {
    name: 'mut/missing-tag-ok',
    what: 'A tag without a token counts as a version.',
    file: ENTRY,
    replace: [
      [
        'const { purge, text, tags, tokens } = seen;',
        "const { purge, text, tags } = seen;\n  const tokens = seen.tokens.map((token) => token ?? '');",
      ],
    ],
    killedBy: 'test/cache/cache.test.ts > where the store can give a tag no token',
  },
  {
    name: 'mut/naive-single-flight',
    what: 'A read joins any load of its key that is under way.',
    file: FLIGHTS,
    replace: [['storable !== undefined && storable.stamps === stamps ? storable', 'storable !== undefined ? storable']],
    killedBy:
      'test/cache/cache.test.ts > a read that saw newer tokens never joins an older load, and the older one stores nothing that is served',
  },
  {
    name: 'mut/replica-fill',
    what: 'A load reads a replica, or an old snapshot.',
    absent: 'There is one connection string, of the primary, and each load is a statement of its own.',
  },
  {
    name: 'mut/dirty-fill',
    what: 'A load inside of an open transaction fills the cache.',
    absent:
      'A transaction is handed to its `transact` alone; loads run on the pool of readers and cannot be given one.',
  },
  {
    name: 'mut/fence-ttl-checked',
    what: 'A fence that expires, with the time checked before COMMIT.',
    absent: 'Fences never expire (mut/fence-ttl), so there is no time to check.',
  },
  {
    name: 'mut/partial-fence',
    what: 'A writer fences fewer tags than its transaction touches.',
    file: TRANSACT,
    replace: [
      [
        'await this.#cache.fence(xid, tags, database, fills?.expected)',
        "await this.#cache.fence(xid, tags.filter((tag) => !tag.includes(':id=')), database, fills?.expected)",
      ],
    ],
    killedBy: `${ON_THE_WAY} > none is served old between its commit and its release`,
  },
  {
    name: 'mut/fence-not-awaited',
    what: 'COMMIT is sent before the fence is acknowledged.',
    file: TRANSACT,
    replace: [
      [
        'fence = await this.#cache.fence(xid, tags, database, fills?.expected);',
        'fence = true; void this.#cache.fence(xid, tags, database, fills?.expected);',
      ],
    ],
    killedBy: 'test/invalidation/interleavings.test.ts > an uncommitted write is never shown, and hinders no reader',
  },
  {
    name: 'mut/restore-on-abort',
    what: 'A writer that rolls back puts the old token back.',
    absent: 'A fence overwrites the token, so nobody has the old one; RELEASE does not know how the transaction ended.',
  },
  {
    name: 'mut/no-resolver',
    what: 'Nobody takes the fence of a dead writer away.',
    file: 'src/engine/postgres/fences.ts',
    replace: [
      ['if (finished.length > 0) await this.#store.releaseFinished(finished, tags, { database });', ''],
      [
        'if (head.orphans.length > 0) await this.#store.releaseOrphans(head.orphans, group, { database: before.id });',
        '',
        RELAY,
      ],
    ],
    killedBy:
      'test/invalidation/transact.test.ts > because Postgres refuses its COMMIT is reported as that, and its fence is removed',
  },
  {
    name: 'mut/failover-no-wait',
    what: 'A failover loses a fence that was acknowledged, and the replica is trusted at once.',
    absent:
      'Nothing waits for replicas, by design: what a failover loses is made good by lease and barrier (outage/*).',
  },
  {
    name: 'mut/snapshot-no-validate',
    what: 'A snapshot is not validated at its end.',
    file: CACHE,
    replace: [
      ['failed = uses.filter((use) => use.tags.length > 0 && stampsNow(view, use) !== use.stamps);', 'void view;'],
    ],
    killedBy: `${COUNTEREXAMPLES} > does not hold when a write came between its reads`,
  },
  {
    name: 'mut/snapshot-memory-no-validate',
    what: 'What memory gave to a snapshot is not validated.',
    file: READER,
    replace: [['readSet?.record(call, stamps, near.currentCursor, untilMs);', '']],
    killedBy: `${COUNTEREXAMPLES} > that memory served unasked does not hold when the store knows better, and its next run does`,
  },
  {
    name: 'mut/snapshot-unstamped',
    what: 'What was read under a fence is part of a snapshot.',
    file: CACHE,
    replace: [['failed.length === 0 && !readSet.unverifiable', 'failed.length === 0']],
    killedBy: `${COUNTEREXAMPLES} > does not hold with what was read under a fence`,
  },

  {
    name: 'bound/no-lease',
    what: 'The lease runs on when nobody renews it.',
    file: APPLY,
    replace: [["string.format('%.0f', until_ms)", "string.format('%.0f', until_ms + 3600000)"]],
    killedBy: `${SCRIPTS} > fences, position and released ids never expire; tokens, entries, lease and barrier do`,
  },
  {
    name: 'bound/lease-from-apply',
    what: 'The lease runs from when it is granted, not from before the snapshot.',
    file: APPLY,
    replace: [
      [
        'local until_ms = tonumber(ARGV[5]) + tonumber(ARGV[6])',
        'local until_ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) + tonumber(ARGV[6])',
      ],
    ],
    killedBy: `${CONFORMANCE} > it runs LEASE_MS from the clock of HEAD, not from APPLY`,
  },
  {
    name: 'bound/time-after-snapshot',
    what: 'The relay asks for the time after its snapshot.',
    file: RELAY,
    replace: [
      [
        'const view = await outbox.read(lowestPosition(own), appliedByAll(own));',
        `const view = await outbox.read(lowestPosition(own), appliedByAll(own));
    for (const one of due) Object.assign(one.head, { clockMs: (await this.#store.head(one.group)).clockMs });`,
      ],
    ],
    killedBy: `${ON_THE_WAY} > a write that no snapshot has seen is served old no longer than LEASE_MS`,
  },
  {
    name: 'bound/no-cas',
    what: 'APPLY does not compare the position with that of HEAD.',
    file: APPLY,
    replace: [["if position ~= ARGV[2] then return { 'raced' } end", '']],
    killedBy: `${CONFORMANCE} > it is raced by another purge at the same id, too`,
  },
  {
    name: 'bound/partial-apply-lease',
    what: 'A tick that leaves rows for the next one grants the lease.',
    file: RELAY,
    replace: [
      [
        "const grant = view.cut ? 'hold' : this.#grant({ group, head });",
        'const grant = this.#grant({ group, head });',
      ],
    ],
    killedBy: `${RELAY_TEST} > does not extend a lease that is still valid`,
  },
  {
    name: 'bound/split-apply',
    what: 'The position moves in a command of its own, before the tokens.',
    file: WRITES,
    replace: [
      [
        'const reply = (await runScript(client, applyScript, keys, [',
        `await client.set(protocolKey('pos', group), positionText(next));
      const reply = (await runScript(client, applyScript, keys, [`,
      ],
      ["head.position === undefined ? '' : positionText(head.position),", 'positionText(next),'],
    ],
    killedBy: `${CONFORMANCE} > , it changes nothing`,
  },
  {
    name: 'bound/position-max',
    what: 'The position is the highest visible transaction, not the horizon below which all are over.',
    file: OUTBOX,
    replace: [
      [
        'pg_snapshot_xmin(pg_current_snapshot())::text as horizon',
        'pg_snapshot_xmax(pg_current_snapshot())::text as horizon',
      ],
    ],
    killedBy: `${RELAY_TEST} > what an older transaction wrote is applied when it commits, however late`,
  },
  {
    name: 'bound/flags-in-postgres',
    what: 'Rows are marked as applied in Postgres.',
    absent: 'The position stands in the data set that it speaks of; the outbox has no such mark.',
  },
  {
    name: 'bound/failover-trust-zombie',
    what: 'A tick begun on the old primary is applied to the new one: writes that were in flight are not waited for.',
    file: APPLY,
    replace: RUN_CHECK,
    killedBy: `${SCRIPTS} > a HEAD of one server is refused by another that holds the same data`,
  },
  {
    name: 'bound/failover-no-trust',
    what: 'A server trusts the lease that it finds in its data.',
    file: KEYS,
    replace: [
      [
        `return \`\${protocolKey(name, group)}:\${run}\`;`,
        `return \`\${protocolKey(name, group)}\${run.slice(0, 0)}\`;`,
      ],
    ],
    killedBy: `${SCRIPTS} > a server restarted from a snapshot of its data has no lease`,
  },

  {
    name: 'outage/no-barrier',
    what: 'A lease that was lost is granted again by the first tick.',
    file: APPLY,
    replace: [
      ["if ARGV[7] == 'force' or (barrier and tonumber(horizon) >= tonumber(barrier)) then", 'if barrier then'],
    ],
    killedBy: `${CONFORMANCE} > an absent lease is granted only when everything below the barrier is over`,
  },
  {
    name: 'outage/barrier-snapshot-xmax',
    what: 'The barrier is one past the last completed transaction, which may be the id of one that runs.',
    file: OUTBOX,
    replace: [
      ['select pg_current_xact_id()::text as xid', 'select pg_snapshot_xmax(pg_current_snapshot())::text as xid'],
    ],
    killedBy: `${RELAY_TEST} > waits, once lost, for every transaction that could have fenced on the lost server`,
  },
  {
    name: 'outage/replicated-lease',
    what: 'The lease is replicated, and found by the replica that is promoted.',
    file: APPLY,
    replace: [['replicate(redis.REPL_NONE)', 'replicate(redis.REPL_ALL)']],
    killedBy: `${SCRIPTS} > lease and barrier stay on this server; all the rest reaches a replica`,
  },
  {
    name: 'outage/late-tick',
    what: 'A tick begun on the old primary is applied to the new one, and grants its lease.',
    file: APPLY,
    replace: RUN_CHECK,
    killedBy: `${SCRIPTS} > a HEAD of one server is refused by another that holds the same data`,
  },
  {
    name: 'outage/split-brain',
    what: 'The old primary still answers some readers.',
    absent: 'No rule of ours that could be missing: there the bound alone is promised (bound/no-lease).',
  },
  {
    name: 'outage/failover-unfenced',
    what: 'A writer that does not find the new primary for L commits unfenced.',
    absent: 'The policy `available` promises the bound alone there; who wants more chooses `reject`.',
  },
  {
    name: 'outage/pause-at-once',
    what: 'A writer whose fence fails once commits without it.',
    file: FENCING,
    replace: [
      ['if (fresh && (this.#store.outageMs(tags) >= LEASE_MS || triedMs >= MAX_TRY_MS)) {', 'if (triedMs >= 0) {'],
    ],
    killedBy: 'test/cache/cache.test.ts > it is given up only after LEASE_MS of attempts, and reported',
  },
  {
    name: 'outage/own-attempts',
    what: 'A writer whose own attempts fail for L commits without a fence, though others reach the store.',
    file: FENCING,
    replace: [['triedMs >= MAX_TRY_MS', 'triedMs >= LEASE_MS']],
    killedBy: 'test/cache/cache.test.ts > one that fails while others are answered is tried for three times LEASE_MS',
  },
  {
    name: 'outage/pause-barrier-forever',
    what: 'The barrier does not expire.',
    file: APPLY,
    replace: [["redis.call('SET', KEYS[4], barrier, 'PXAT', deadline)", "redis.call('SET', KEYS[4], barrier)"]],
    killedBy: `${SCRIPTS} > fences, position and released ids never expire; tokens, entries, lease and barrier do`,
  },
  {
    name: 'outage/pause-no-barrier',
    what: 'The relay has the lease granted without waiting for who may have fenced.',
    file: RELAY,
    replace: [
      ["if (head.leaseLeftMs > 0 || sinceMs === undefined) return 'grant';", "if (sinceMs !== 0) return 'force';"],
    ],
    killedBy: `${RELAY_TEST} > waits, once lost, for every transaction that could have fenced on the lost server`,
  },

  {
    name: 'l1poll/failover-chain-only',
    what: 'Memory asks whether its last record is still there, not whether the lease is the same.',
    file: CURSOR,
    replace: [[IDENTITY, `\`\${purge}:\${generations}:\${generation.slice(0, 0)}\``]],
    killedBy: `${NEAR_TEST} > when the lease is of another generation: what is gone with a server left no record`,
  },
  {
    name: 'l1poll/failover-no-gen',
    what: 'Memory compares neither lease nor log.',
    file: CURSOR,
    replace: [
      [IDENTITY, OF_NOTHING],
      [
        "if (identity === undefined || log.kind === 'gap') return this.#forget();",
        "if (identity === undefined) return this.#forget();\n    if (log.kind === 'gap') return true;",
        NEAR,
      ],
    ],
    killedBy: `${NEAR_TEST} > when the log is another one`,
  },
  {
    name: 'near-mut/use-unleased',
    what: 'The place in the log is taken from an answer without the lease.',
    file: NEAR,
    replace: [
      [
        "if (identity === undefined || log.kind === 'gap') return this.#forget();",
        `if (log.kind === 'gap') return this.#forget();
    if (identity === undefined) {
      this.#mark = log.mark;
      return false;
    }`,
      ],
    ],
    killedBy: `${NEAR_TEST} > by a look without the lease, whose word on the log is no answer either`,
  },
  {
    name: 'l1poll/failover-untrusted',
    what: 'An answer without the lease proves what memory holds.',
    file: NEAR,
    replace: [['lease === undefined ? undefined', 'lease === undefined ? asked.identity']],
    killedBy: `${NEAR_TEST} > when the lease has run out: every read loads until the next`,
  },
  {
    name: 'l1poll/no-wait',
    what: 'The writer commits without waiting until all polled leases are over.',
    absent: 'Memory has no lease of its own: the log is read after the request came, so no writer waits for anybody.',
  },
  {
    name: 'l1poll/short-wait',
    what: 'The writer waits for less than a polled lease.',
    absent: 'As l1poll/no-wait.',
  },
  {
    name: 'near-mut/any-look',
    what: 'A look into the log counts from its answer, not from when it was sent.',
    file: NEAR,
    replace: [['this.#processed > sent;', 'this.#processed >= sent;']],
    killedBy: `${NEAR_TEST} > serves a session without another only if it was sent after the session began`,
  },
  {
    name: 'near-mut/no-put-check',
    what: 'What a record has named since it was asked for is kept.',
    file: NEAR,
    replace: [['return this.#untouched(tags, since.log.sequence);', 'return since.log.sequence >= 0;']],
    killedBy: `${NEAR_TEST} > that a record names in the very answer: a cluster may be asked for the log last`,
  },
  {
    name: 'page/memory-as-designed',
    what: 'A value that a load brings along is kept under the log read before the load, whatever is fenced.',
    file: BROUGHT,
    replace: [[' || tags.some((tag) => fenced.has(tag))', ' || fenced === undefined']],
    killedBy: `${BROUGHT_TEST} > is not kept where its write was logged before the READ and commits after the load`,
  },
  {
    name: 'page-mut/first-tag',
    what: 'Only the first tag is looked for in the notes.',
    file: BROUGHT,
    replace: [['tags.some((tag) => fenced.has(tag))', 'fenced.has(tags[0] as Tag)']],
    killedBy: `${BROUGHT_TEST} > is not kept under a note of any of its tags`,
  },
  {
    name: 'page-mut/fences-late',
    what: 'The notes are those of after the load.',
    file: 'src/engine/cache/memory-store.ts',
    replace: [
      [
        'return this.#noted.size > MAX_NOTES_PER_READ ? undefined : new Set([...this.#noted.values()].flat());',
        'return { has: (tag: Tag) => [...this.#noted.values()].flat().includes(tag) } as ReadonlySet<Tag>;',
      ],
    ],
    killedBy: `${BROUGHT_TEST} > is not kept under the notes of after the load: the write may be over by then`,
  },
  {
    name: 'page-mut/load-at-once',
    what: 'The statement is sent together with the look that reads the notes.',
    absent: 'A load begins with what its READ has missed, and is handed the notes that this READ brought.',
  },
  {
    name: 'page-mut/no-put-check',
    what: 'What a record has named since the READ is kept.',
    file: NEAR,
    replace: [['return this.#untouched(tags, since.log.sequence);', 'return since.log.sequence >= 0;']],
    killedBy: `${BROUGHT_TEST} > is not kept if a record since the READ has named it, which another read has processed`,
  },
  {
    name: 'page-mut/asked-late',
    what: 'The value is kept under the mark of when it came.',
    file: BROUGHT,
    replace: [['near.put(cursor, key,', 'near.put(near.currentCursor, key,']],
    killedBy: `${BROUGHT_TEST} > is not kept if a record since the READ has named it, which another read has processed`,
  },
  {
    name: 'page-mut/release-logs',
    what: 'In place of the notes RELEASE appends a record.',
    absent: 'RELEASE of a fenced write appends a record only where its fence or its note is gone.',
  },
  {
    name: 'ours/brought-to-a-snapshot',
    what: 'A snapshot is given a copy without stamps.',
    file: READING,
    replace: [
      [
        'return stamps !== undefined || readSet?.snapshot !== true;',
        'return stamps !== null || readSet === undefined;',
      ],
    ],
    killedBy: `${BROUGHT_TEST} > a snapshot is not given it: it reads the row from the store, and holds`,
  },
  {
    name: 'ours/brought-is-monitored',
    what: 'The monitor takes a copy without stamps for proved.',
    file: READER,
    replace: [['    if (stamps === undefined) return; // nothing to prove a violation by\n', '']],
    killedBy: `${BROUGHT_TEST} > the monitor does not compare it: it could not prove a violation`,
  },
  ...[
    ['pfill/script-as-designed', 'A script stores it where the log ends as before the load, no notes read.'],
    ['pfill-mut/no-lease', '… without looking at the lease.'],
    ['pfill-mut/any-lease', '… under any lease.'],
    ['pfill-mut/any-lease-purge', '… under any lease, with its purge.'],
    ['pfill-mut/no-end', '… without looking at the log.'],
    ['pfill-mut/no-check', '… without asking for records since the look.'],
    ['pfill-mut/fences-late', '… with the fences of after the load.'],
    ['pfill-mut/counter', '… comparing the number of the record alone.'],
    ['pfill-mut/look-as-designed', 'A later look stores it, no fences known.'],
    ['pfill-mut/look-log-first', '… having read the log before the tokens.'],
    ['pfill-mut/look-any-order', '… having read tokens and log of a Cluster in any order.'],
    ['pfill-mut/look-no-check', '… without asking for records since the first look.'],
    ['pfill-mut/look-no-identity', '… under another identity.'],
    ['pfill-mut/look-unproved', '… although the log group was not reached.'],
  ].map(
    ([name = '', what = '']): Absent => ({
      name,
      what,
      absent:
        'What a load brings along is not stored: a process that misses it in the store loads it, and stores it then.',
    }),
  ),
  {
    name: 'ours/shared-load-fails-all',
    what: 'A load of several callers that fails for one of them fails for all.',
    file: FLIGHTS,
    replace: [
      [
        '      if (!this.#mayRetry(load, signal)) throw error;\n      return await this.#loadOwn(alone(source), misses, viewer, signal);\n',
        '      throw error;\n',
      ],
    ],
    killedBy: `${SHARED_TEST} > fails only the caller whose argument makes it throw, and the callers that joined that one`,
  },
  {
    name: 'ours/shared-load-left-is-joined',
    what: 'A load that all its callers have left before it began takes in more.',
    file: FLIGHTS,
    replace: [['const joins = room && !open.load.callers.signal.aborted;', 'const joins = room;']],
    killedBy: `${SHARED_TEST} > is not joined, before its load began, by a later caller of`,
  },
  {
    name: 'ours/shared-load-in-one-line',
    what: 'A load of several viewers waits in the line of the first alone.',
    file: FLIGHTS,
    replace: [['      load.turn.share(viewer);\n', '']],
    killedBy: `${SHARED_TEST} > is also in the line of a viewer who needs`,
  },
  {
    name: 'near-mut/no-floor',
    what: 'What was touched longer ago than is remembered counts as untouched.',
    file: NEAR,
    replace: [['if (since < this.#completeSince) return false;', '']],
    killedBy: `${NEAR_TEST} > that was asked for before more was invalidated than is remembered`,
  },
  {
    name: 'l1poll/older-generation',
    what: 'Of what is remembered only the newer half is looked at.',
    file: NEAR,
    replace: [['?? this.#lastInvalidationBefore.get(tag);', ';']],
    killedBy: `${NEAR_TEST} > that a record named in the generation before`,
  },
  {
    name: 'near-mut/asked-late',
    what: 'The place in the log is that of the answer, not that of the question.',
    file: NEAR,
    replace: [['return this.#untouched(tags, since.log.sequence);', 'return this.#untouched(tags, mark.sequence);']],
    killedBy: `${NEAR_TEST} > that a record has named since it was asked for, which another read has processed`,
  },
  {
    name: 'near-mut/log-first',
    what: 'In a cluster the log is written before the fences of other groups stand.',
    file: GROUPS,
    replace: [
      [
        'await allEnded(parts.filter(({ group }) => group.index !== LOG_GROUP).map(run));',
        'await allEnded(parts.filter(({ group }) => group.index === LOG_GROUP).map(run));',
      ],
      [
        'await allEnded(parts.filter(({ group }) => group.index === LOG_GROUP).map(run));',
        'await allEnded(parts.filter(({ group }) => group.index !== LOG_GROUP).map(run));',
      ],
    ],
    killedBy: `${COUNTEREXAMPLES} > learns of a write from the log only when every fence is set`,
  },
  {
    name: 'near-mut/put-fenced',
    what: 'What was loaded under a fence is kept.',
    file: READER,
    replace: [
      [
        'values[miss.index] = value;\n',
        `values[miss.index] = value;
      const copy = { value, tags: miss.tags, groups: miss.groups, stamps: '', loadedAtMs: 0, untilMs: Infinity, chars: 1 };
      if (this.#near !== undefined) this.#near.put(this.#near.beginLogRead(), miss.key, copy);
`,
      ],
    ],
    killedBy: `${NEAR_TEST} > that was read under a fence`,
  },
  {
    name: 'answer/joined-part',
    what: 'An answer is kept although a part of it was loaded for others.',
    file: READER,
    replace: [
      ['untilMs === undefined ? undefined : cursor, untilMs ?? 0);', 'cursor, untilMs ?? Number.POSITIVE_INFINITY);'],
    ],
    killedBy: `${NEAR_TEST} > is not kept when a part was loaded by others under tokens from before`,
  },
  {
    name: 'near-mut/answer-unstamped',
    what: 'An answer is kept although a part of it was read under a fence.',
    file: SESSION,
    replace: [['this.unverifiable = true;\n    this.recordUnproved(tags);', 'this.unverifiable = true;']],
    killedBy: `${NEAR_TEST} > is not kept when a part was read under a fence, or without a lease`,
  },
  {
    name: 'answer/failed-part',
    what: 'An answer is kept although a part of it could not be read.',
    file: READER,
    replace: [['readSet?.recordUnproved(miss.tags);', '']],
    killedBy: `${NEAR_TEST} > is not kept when a part could not be read, whatever was made of that`,
  },
  {
    name: 'near-mut/answer-latest',
    what: 'An answer counts from the latest look of its parts.',
    file: SESSION,
    replace: [['since.log.sequence < earliest.log.sequence', 'since.log.sequence > earliest.log.sequence']],
    killedBy: `${NEAR_TEST} > is not kept when a part was written since it was read: it is torn`,
  },
  {
    name: 'answer/kept-as-of-now',
    what: 'An answer counts from when it is kept.',
    file: ANSWER_CACHE,
    replace: [['this.#near?.put(since, key, {', 'this.#near?.put(since && this.#near.currentCursor, key, {']],
    killedBy: `${NEAR_TEST} > is not kept when a part was written since it was read: it is torn`,
  },
  {
    name: 'near-mut/answer-last-tags',
    what: 'An answer is found by the tags of one of its parts alone.',
    file: SESSION,
    replace: [
      [
        'for (const tag of tags) this.tags.add(tag);',
        'this.tags.clear();\n    for (const tag of tags) this.tags.add(tag);',
      ],
    ],
    killedBy: `${NEAR_TEST} > is gone with the record of any of its parts, and with no other`,
  },
  {
    name: 'near-mut/answer-without-log-read',
    what: 'An answer that is kept is served without a look into the log.',
    file: ANSWER_CACHE,
    replace: [['if (insideLoad() || !near.provedAfter(readSet.began)) {', 'if (readSet.snapshot) {']],
    killedBy: `${NEAR_TEST} > is served to a request that has seen the log by itself, and to none that began after a look was sent`,
  },
  {
    name: 'answer/look-not-proved',
    what: 'An answer is served whatever the look into the log has found.',
    file: ANSWER_CACHE,
    replace: [
      ['if (!this.#reads.proves(reply)) return undefined;', ''],
      ['copy = near.get(key, this.#clock.nowMs()); // the log may have named one of its tags', ''],
    ],
    killedBy: `${NEAR_TEST} > is gone with the record of any of its parts, and with no other`,
  },
  {
    name: 'answer/load-kept-under-a-new-look',
    what: 'What was loaded is kept as if it had been asked for when the load was over.',
    file: FLIGHTS,
    replace: [
      [
        'this.#options.near?.put(cursor, key, { value, tags, stamps, chars: text.length, loadedAtMs, untilMs });',
        'const { near } = this.#options;\n      near?.put(near.beginLogRead(), key, { value, tags, stamps, chars: text.length, loadedAtMs, untilMs });',
      ],
    ],
    killedBy: `${NEAR_TEST} > unless a record has named it since, which another read has processed`,
  },
  {
    name: 'answer/ends-never',
    what: 'What an answer says of the time is not asked for its end.',
    file: SESSION,
    replace: [['this.untilMs = Math.min(this.untilMs, untilMs);', 'void untilMs;']],
    killedBy: `${ANSWERS_TEST} > with the minute, when it speaks of now`,
  },
  {
    name: 'answer/outlives-its-parts',
    what: 'An answer lives longer than the shortest of its parts.',
    file: SESSION,
    replace: [['if (untilMs < this.untilMs) this.untilMs = untilMs;', 'void untilMs;']],
    killedBy: `${NEAR_TEST} > lives no longer than the shortest of its parts, and than what it says itself`,
  },
  {
    name: 'answer/any-viewer',
    what: 'An answer is known to whoever asks the same.',
    file: ANSWERS,
    replace: [[KEY_OF_VIEWER, KEY_OF_ALL]],
    killedBy: `${ANSWERS_TEST} > is one for each viewer, document, set of variables, operation name and media type`,
  },
  {
    name: 'answer/headers-run-together',
    what: 'A header can pass for a part of the body.',
    file: ANSWERS,
    replace: [[QUESTION_IN_LINES, QUESTION_IN_ONE]],
    killedBy: `${ANSWERS_TEST} > a body that is no JSON, though with its type it reads like a request that is known`,
  },
  {
    name: 'answer/begins-with-its-head',
    what: 'A request counts from its head: a look that was sent before its body came proves what it is told.',
    file: PIPELINE,
    replace: [
      [
        'const request = new ApiRequest(message, spans?.start(message, response));',
        'const request = Object.assign(new ApiRequest(message), { begun: cache.readSet({ answer: true }) });',
      ],
      ['const readSet = cache.readSet({ answer: true });', 'const readSet = (request as any).begun;'],
    ],
    killedBy: `${ANSWERS_TEST} > a body that takes its time: what was written meanwhile is shown, though the log was read since its head came`,
  },
  {
    name: 'answer/beside-the-cache',
    what: 'An answer is kept although it tells of the token or of the server.',
    file: 'src/server/request-context.ts',
    replace: [['this.readSet.markUncacheable();', '']],
    killedBy: `${ANSWERS_TEST} > is what tells of the request, the server or its operators`,
  },
  {
    name: 'ours/read-ends-refusal',
    what: 'A read that succeeds ends an outage in which writes are refused.',
    file: OUTAGE,
    replace: [['  answered(): void {\n', '  answered(): void {\n    this.#refused.end();\n']],
    killedBy: `${OUTAGE_TEST} > are an outage that a read which succeeds does not end, and a fence does`,
  },
  {
    name: 'ours/renewed-lease-ignored',
    what: 'A lease that was renewed while writes were refused does not count.',
    file: OUTAGE,
    replace: [['renewedMs > sinceMs && ', 'renewedMs < 0 && ']],
    killedBy: `${OUTAGE_TEST} > are counted from the last lease that was renewed meanwhile`,
  },
  {
    name: 'ours/lost-first',
    what: 'In a Cluster the group counts that was lost first, although the lease of another may still run.',
    file: OUTAGE,
    replace: [['Math.min(...lost)', 'Math.max(...lost)']],
    killedBy: `${OUTAGE_TEST} > groups are lost together since the last of them was lost`,
  },
  {
    name: 'outage/refuse-read-head',
    what: 'HEAD only reads, so that a tick takes its barrier from a server that takes no writes.',
    file: 'src/engine/redis/head.lua',
    replace: [['if left == 0 then', 'if false then']],
    killedBy: `${REFUSED_TEST} > a tick takes no barrier while Redis refuses writes`,
  },
  {
    name: 'ours/purge-when-full',
    what: 'A purge begins with a DEL, which a full server takes, and with it the lease.',
    file: APPLY,
    replace: [["redis.call('SET', KEYS[1], ARGV[2], 'XX')\n", '']],
    killedBy: `${REFUSED_TEST} > nothing of a refused fence or tick is written, and a purge renews no lease`,
  },
  {
    name: 'ours/tick-when-full',
    what: 'A tick that applies a row begins with a DEL, which a full server takes, and with it the lease.',
    file: APPLY,
    replace: [
      [
        "redis.call('SET', KEYS[1], ARGV[2], 'XX')\n",
        "if string.match(position, ':(.*)$') ~= purge then redis.call('SET', KEYS[1], ARGV[2], 'XX') end\n",
      ],
    ],
    killedBy: `${REFUSED_TEST} > nothing of a refused fence or tick is written, and a purge renews no lease`,
  },
  {
    name: 'standalone/any-history',
    what: 'Without a database, entries survive a server that may have lost an invalidation.',
    file: 'src/engine/cache/standalone-lease.ts',
    replace: [['history === undefined ? leaseLeftMs > 0 :', 'history !== undefined ||']],
    killedBy: 'test/cache/standalone-lease.test.ts > a server that starts again without an acknowledged invalidation',
  },
  {
    name: 'package/mutation-cached',
    what: 'What is read under a mutation goes through the cache.',
    file: 'src/engine/graphql/executions.ts',
    replace: [["info.operation.operation === 'mutation'", 'info.operation.kind.length === 0']],
    killedBy: 'test/package/create-cache.test.ts > a plain schema on Yoga',
  },
  {
    name: 'package/subscription-memo',
    what: 'The events of a subscription share what one of them has read.',
    file: 'src/engine/graphql/executions.ts',
    replace: [["info.operation.operation === 'subscription'", 'info.operation.kind.length === 0']],
    killedBy: 'test/package/create-cache.test.ts > each event of a subscription has reads of its own',
  },
  {
    name: 'package/deferred-after-fence',
    what: 'Deferred triggers run at COMMIT, after the tags were read back.',
    file: OUTBOX,
    replace: [['set constraints all immediate', 'select']],
    killedBy: 'test/package/create-cache.test.ts > what a deferred trigger writes',
  },
  {
    name: 'package/uuid-as-sent',
    what: 'A UUID names a tag as it was sent, in capitals for example.',
    file: 'src/engine/postgres/tag-text.ts',
    replace: [["if (type === 'uuid') return uuidText;", "if (type === 'uuid') return String;"]],
    killedBy: 'test/package/tag-text.test.ts > is the tag of every equal value',
  },
  {
    name: 'answer/free-of-charge',
    what: 'A known answer costs no points.',
    file: CACHED_RESPONSES,
    replace: [['await this.#rateLimits?.consume(caller, CACHED_COST)', 'undefined']],
    killedBy: `${ANSWERS_TEST} > to who has no points left, and costs one, whatever its operation costs`,
  },
  {
    name: 'identity/any-origin',
    what: 'A database keeps the id that a dump or a copy brought along.',
    file: IDENTITY_FILE,
    replace: [['found.origin !== found.actual', 'found.id === ""']],
    killedBy: `${IDENTITY_TEST} > has another identity after`,
  },
  {
    name: 'identity/without-start',
    what: 'The origin of an identity does not say when the server was started.',
    file: IDENTITY_FILE,
    replace: [['extract(epoch from pg_postmaster_start_time()),', '']],
    killedBy:
      'test/invalidation/physical-copies.test.ts > a server that is started again is another state of history, since a crash may',
  },
  {
    name: 'identity/without-oid',
    what: 'The origin of an identity does not say in which database it is.',
    file: IDENTITY_FILE,
    replace: [['(select oid from pg_database where datname = current_database()),', '']],
    killedBy: 'test/invalidation/another-database.test.ts > never serve each other’s values, the first keeps its cache',
  },
  {
    name: 'identity/without-row',
    what: 'The origin of an identity does not say which transaction wrote its row.',
    file: IDENTITY_FILE,
    replace: [[`i.tableoid, \${transaction},`, `i.tableoid, \${transaction.slice(0, 0)}null,`]],
    killedBy: `${IDENTITY_TEST} > has another identity after`,
  },
  {
    name: 'identity/without-triggers',
    what: 'The origin of an identity does not say which triggers name what is written.',
    file: IDENTITY_FILE,
    replace: [["where p.proname = 'cache_name_rows'", 'where false']],
    killedBy: `${IDENTITY_TEST} > has another identity after`,
  },
  {
    name: 'identity/known-for-ever',
    what: 'A process that cannot reach Postgres believes leases of the database that it once had.',
    file: IDENTITY_FILE,
    replace: [
      [
        'this.sinceMs < LEASE_MS && !this.#toBePurged ? this.#latest?.id : undefined',
        'this.#toBePurged ? undefined : this.#latest?.id',
      ],
    ],
    killedBy: `${IDENTITY_TEST} > is believed for LEASE_MS from when the question was sent`,
  },
  {
    name: 'identity/from-the-answer',
    what: 'An identity is believed from when the answer came.',
    file: IDENTITY_FILE,
    replace: [['this.#askedAtMs = askedAtMs;', 'this.#askedAtMs = Math.max(askedAtMs, this.#clock.monotonicMs());']],
    killedBy: `${IDENTITY_TEST} > is believed for LEASE_MS from when the question was sent`,
  },
  {
    name: 'identity/idle-process',
    what: 'A process that leaves the ticks to others does not ask which database it has.',
    file: RELAY,
    replace: [['(due.length === 0 && this.#database.sinceMs >= IDENTIFY_EVERY_MS)', 'due.length < 0']],
    killedBy: `${FOREIGN_TEST} > is noticed by a process that leaves the ticks to others`,
  },
  {
    name: 'identity/believe-all',
    what: 'Readers believe the lease of another database.',
    file: 'src/engine/cache/binding.ts',
    replace: [
      ['this.#database === undefined || this.#database() === databaseOf(purge)', 'databaseOf(purge) !== "none"'],
    ],
    killedBy: `${CONFORMANCE} > show their lease only to readers of that database`,
  },
  {
    name: 'identity/fence-anywhere',
    what: 'A writer fences in the keys of another database.',
    file: 'src/engine/redis/fence.lua',
    replace: [["if is_foreign(held[3], ARGV[6]) then return 'foreign' end", '']],
    killedBy: `${CONFORMANCE} > take no fence of another database, and those of their own`,
  },
  {
    name: 'identity/foreign-fence',
    what: 'A write whose fence was refused by the keys of another database is answered at once, though readers may still know that one.',
    file: FENCING,
    replace: [["reply !== 'foreign' || startedMs - this.#writers.sinceMs >= LEASE_MS", 'reply !== undefined']],
    killedBy:
      'test/cache/cache.test.ts > under keys of another database counts as none until this process has written to its own',
  },
  {
    name: 'identity/late-fill',
    what: 'What was loaded from one database is stored under the lease of the one before.',
    file: 'src/engine/cache/binding.ts',
    replace: [['this.#database === undefined || mayStore(text, this.#database())', 'text !== undefined']],
    killedBy: `${CONFORMANCE} > take no entry that was loaded under their lease once the process has another database`,
  },
  {
    name: 'identity/release-anywhere',
    what: 'A writer releases in the keys of another database, where its id is another transaction.',
    file: 'src/engine/redis/release.lua',
    replace: [["if is_foreign(held[4], ARGV[11]) then return 'foreign' end", '']],
    killedBy: `${CONFORMANCE} > keep their fences from the release of another database`,
  },
  {
    name: 'identity/take-leased',
    what: 'A database takes the keys of another one that has a lease.',
    file: APPLY,
    replace: [["if lease and owner_of(lease) ~= owner_of(ARGV[3]) then return { 'raced' } end", '']],
    killedBy: `${CONFORMANCE} > are not taken by another database while their lease is valid`,
  },
  {
    name: 'identity/barrier-kept',
    what: 'A barrier of another history counts.',
    file: APPLY,
    replace: [["redis.call('DEL', KEYS[2], KEYS[4])", "redis.call('DEL', KEYS[2])"]],
    killedBy: `${CONFORMANCE} > are taken once it has ended, and then forget ids, barrier and what was released`,
  },
  {
    name: 'identity/take-and-grant',
    what: 'The tick that takes the keys of another database may set the barrier of a lease, although fences were refused until then.',
    file: RELAY,
    replace: [["grant: first ? 'hold' : this.#grant({ group, head })", "grant: 'grant'"]],
    killedBy: `${FOREIGN_TEST} > get no lease with the tick that takes them, and none until those are over`,
  },
  {
    name: 'identity/take-at-once',
    what: 'Keys are taken as soon as the lease of the other database has ended, which it may have again at once.',
    file: 'src/engine/postgres/keyspace-claim.ts',
    replace: [['nowMs - this.#unleased.sinceMs >= (madeFromIt ? MADE_FROM_IT_MS : UNRELATED_MS)', 'nowMs >= 0']],
    killedBy: `${FOREIGN_TEST} > after its lease has ended`,
  },
  {
    name: 'identity/left-kept',
    what: 'A process that has left a database leaves there what it may have stored of the next one.',
    file: RELAY,
    replace: [['this.#left.leave((before as DatabaseIdentity).id);', '']],
    killedBy: `${FOREIGN_TEST} > voids what this process has stored for the one before`,
  },
  {
    name: 'identity/return-unnoticed',
    what: 'A database that was away and is back is served what was stored for it meanwhile.',
    file: IDENTITY_FILE,
    replace: [['this.#toBePurged = true;', '']],
    killedBy: `${FOREIGN_TEST} > and back is not served what was stored for it before the purge`,
  },
  {
    name: 'identity/return-served',
    what: 'A database that was away and is back is served what was stored for it meanwhile until that has been purged.',
    file: IDENTITY_FILE,
    replace: [['this.sinceMs < LEASE_MS && !this.#toBePurged', 'this.sinceMs < LEASE_MS']],
    killedBy: `${FOREIGN_TEST} > and back is not served what was stored for it before the purge`,
  },
  {
    name: 'identity/rows-of-the-other',
    what: 'A tick goes on with rows that it asked another database for.',
    file: RELAY,
    replace: [
      ["if (this.#moved(view.identity, askedAtMs)) return { result: 'other', more: true };", 'void askedAtMs;'],
    ],
    killedBy: `${FOREIGN_TEST} > between the decision which rows to read and their reading`,
  },
  {
    name: 'identity/selected-or-not',
    what: 'A connection is used although the server refused its database.',
    file: GROUPS,
    replace: [
      ['        throw connection.refusal;\n', ''],
      ['if (server === undefined || !connection.selected)', 'if (server === undefined)'],
    ],
    killedBy: 'test/cache/redis-select.test.ts > never touches database 0, also when it is used without having started',
  },
  {
    name: 'near-mut/unfenced-nolog',
    what: 'The release of a write that was not fenced is not logged, and APPLY leaves it out.',
    file: WRITES,
    replace: [["unfenced ? 'always' : 'if lost'", "unfenced ? 'never' : 'if lost'"]],
    killedBy: `${EVICTED} > RELEASE of a write that was not fenced appends one record`,
  },
  {
    name: 'near-mut/apply-nolog',
    what: 'APPLY does not log.',
    file: APPLY,
    replace: [['if logs and (not released or row[5] == 1) then', 'if false then']],
    killedBy: `${COUNTEREXAMPLES} > whose groups apply an unfenced write one by one, the log group last`,
  },
  {
    name: 'near-mut/look-spans-runs',
    what: 'The lease and the log of one log read come by two connections.',
    file: REDIS,
    replace: [
      [
        'if (log !== undefined) this.#askLog(pipeline, group, log);',
        `const other = this.#groups.ticker.client.pipeline();
      if (log !== undefined) this.#askLog(other, group, log);`,
      ],
      [
        'const results = (await pipeline.exec()) ?? [];',
        'const results = [...((await pipeline.exec()) ?? []), ...((await other.exec()) ?? [])];',
      ],
    ],
    killedBy: `${RESEND} > the lease and the log of a READ are asked on one connection`,
  },
  {
    name: 'near-mut/no-hole',
    what: 'A gap in the log is not noticed.',
    file: NEAR,
    replace: [
      [
        "if (identity === undefined || log.kind === 'gap') return this.#forget();",
        `if (identity === undefined) return this.#forget();
    if (log.kind === 'gap') {
      this.#processed = asked.number;
      return true;
    }`,
      ],
    ],
    killedBy: `${NEAR_TEST} > when it is further behind than one log read returns`,
  },
  {
    name: 'near-mut/no-epoch',
    what: "A log that began anew goes on with the old one's numbers.",
    file: NEAR,
    replace: [
      ['since.identity !== this.#identity || since.log.epoch !== mark.epoch', 'since.identity !== this.#identity'],
    ],
    killedBy: `${NEAR_TEST} > that was asked for while another log was kept`,
  },
  {
    name: 'near-mut/no-identity',
    what: 'Neither generation nor purge of the lease are compared.',
    file: CURSOR,
    replace: [[IDENTITY, OF_NOTHING]],
    killedBy: `${NEAR_TEST} > when the lease is of another generation: what is gone with a server left no record`,
  },
  {
    name: 'near-mut/generation-only',
    what: 'Of the lease only the generation is compared, not the purge.',
    file: CURSOR,
    replace: [[IDENTITY, OF_GENERATION]],
    killedBy: `${NEAR_TEST} > when everything was purged`,
  },
  {
    name: 'near-mut/begin-over',
    what: 'A second log read for the end begins memory over again.',
    file: NEAR,
    replace: [
      ['if (this.#mark !== undefined) return false; // another read has begun already, perhaps further back\n', ''],
    ],
    killedBy: `${NEAR_TEST} > that finds another beginning made already, of another log, changes nothing`,
  },
  {
    name: 'near-mut/further-back',
    what: 'A log read from further on than memory, which began anew, now is, is taken in.',
    file: NEAR,
    replace: [
      [
        "if (asked.log === 'tail' || asked.log.sequence > this.#mark.sequence) return false;",
        "if (asked.log === 'tail') return false;",
      ],
    ],
    killedBy: `${NEAR_TEST} > that begins where memory is not yet serves no caller`,
  },
  {
    name: 'near-mut/without-log-read',
    what: 'Memory is served without a log read.',
    file: READER,
    replace: [['const open = this.#mayServeUnasked(options.readSet) ?', 'const open = this.#near !== undefined ?']],
    killedBy: `${NEAR_TEST} > is never what a write made old`,
  },
  {
    name: 'ours/may-serve-unasked-always',
    what: 'A session is served from memory whether or not the log was read since it began.',
    file: READER,
    replace: [[UNASKED, 'return readSet.began >= 0;']],
    killedBy: `${NEAR_TEST} > serves a session without another only if it was sent after the session began`,
  },
  {
    name: 'ours/may-serve-unasked-in-load',
    what: 'Inside a load memory is always served without a log read.',
    file: READER,
    replace: [
      [UNASKED, `if (insideLoad()) return true;\n    ${UNASKED}`],
      [INSIDE, 'readSet === undefined) return false;'],
    ],
    killedBy: `${NESTED} > is current when the load runs, for a caller that joined it in line`,
  },
  {
    name: 'near/nested-mint2',
    what: "Inside a load memory is served on the request's log read: a lost token costs a second trip.",
    file: READER,
    replace: [[INSIDE, 'readSet === undefined) return false;']],
    killedBy: `${NESTED} > is not older than tokens that came in a second trip`,
  },
  {
    name: 'near/nested-cluster',
    what: "Inside a load memory is served on the request's log read: a snapshot, whose end does not see inside a load that it joined.",
    file: READER,
    replace: [[INSIDE, 'readSet === undefined) return false;']],
    killedBy: `${NESTED} > is not taken from memory unasked for a snapshot`,
  },
  {
    name: 'near/nested-homefail',
    what: "Inside a load memory is served on the request's log read: the log group was not reached.",
    file: READER,
    replace: [[INSIDE, 'readSet === undefined) return false;']],
    killedBy: `${NESTED} > is not taken from memory while the group that keeps the log is not reached (Cluster)`,
  },
  {
    name: 'ours/answer-inside-a-load',
    what: "Inside a load a known answer is served on the request's log read.",
    file: ANSWER_CACHE,
    replace: [['if (insideLoad() || !near.provedAfter(readSet.began)) {', 'if (!near.provedAfter(readSet.began)) {']],
    killedBy: `${NESTED} > is not taken from memory while the group that keeps the log is not reached (Cluster)`,
  },
  {
    name: 'near/nested-look-outside',
    what: 'In a Cluster memory is served inside a load, on a log read of the load.',
    file: READER,
    replace: [
      [
        'return this.#near !== undefined && (this.#options.store.groups === 1 || !insideLoad());',
        'return this.#near !== undefined;',
      ],
    ],
    killedBy: 'test/cache/cluster-memory.test.ts > is not served inside a load',
  },
  {
    name: 'ours/answer-inside-a-load-of-a-cluster',
    what: 'The same, a known answer.',
    file: ANSWER_CACHE,
    replace: [['if (insideLoad() && this.#groups > 1) return undefined;', '']],
    killedBy: 'test/cache/cluster-memory.test.ts > is not served inside a load',
  },
  {
    name: 'ours/known-operation-charged-twice',
    what: "An operation that goes on to Apollo's way is decided on and charged again.",
    file: 'src/server/operations/operation-plugin.ts',
    replace: [['context.outcome.decided ??= this', 'context.outcome.decided = this']],
    killedBy: `${KNOWN_TEST} > is charged as by Apollo, once, also when it is refused or fails`,
  },
  {
    name: 'ours/known-operation-run-twice',
    what: "A mutation with errors in its payload's fields runs again on Apollo's way.",
    file: 'src/server/operations/executor.ts',
    replace: [['context.outcome.result ??= this', 'context.outcome.result = this']],
    killedBy: `${KNOWN_TEST} > is run once, also when its answer has errors`,
  },
  {
    name: 'ours/known-operation-errors',
    what: 'Errors are sent without the mask.',
    file: 'src/server/operations/known-operations.ts',
    replace: [['result.errors === undefined ? this', 'result !== undefined ? this']],
    killedBy: `${KNOWN_TEST} > to requests that are refused or fail`,
  },
  {
    name: 'part/any-viewer',
    what: "A part is joined to another viewer's answer.",
    file: 'src/server/operations/compiled-query.ts',
    replace: [[`\${place.index} \${run.viewer} \${given}`, `\${place.index} \${given}`]],
    killedBy: `${PARTS_TEST} > belongs to its viewer`,
  },
  {
    name: 'part/any-variables',
    what: 'A part is joined under other variables.',
    file: 'src/server/operations/compiled-query.ts',
    replace: [['const given = variables.length === 0', 'const given = variables.length >= 0']],
    killedBy: `${PARTS_TEST} > is that of the variables below it`,
  },
  {
    name: 'part/first-reader-only',
    what: 'Of two parts that read the same value in one request, only the first depends on it.',
    file: 'src/engine/graphql/request-loaders.ts',
    replace: [['this.#options.readSet?.dependencies?.add(known.tags, known.since, known.untilMs);', '']],
    killedBy: `${PARTS_TEST} > is made again when another process has written`,
  },
  {
    name: 'part/not-spoilt',
    what: 'A part is kept although a value was promised to it or something was read meanwhile.',
    file: 'src/engine/cache/part-cache.ts',
    replace: [['open.spoilt || uncacheable', 'uncacheable']],
    killedBy: `${PARTS_TEST} > with a field that is read by a resolver which waits first is not kept without that`,
  },
  {
    name: 'ours/request-memo-in-load',
    what: "A cached method reads what the request's loaders gave before.",
    file: 'src/engine/graphql/request-loaders.ts',
    replace: [
      [
        'const sources = within === undefined ? this.#sources : (this.#nested.get(within) ?? new Map());',
        'const sources = this.#sources;',
      ],
    ],
    killedBy: `${NESTED} > a cached method reads through loaders of its own`,
  },
  {
    name: 'ours/root-unguarded',
    what: 'A cached method computes from its root, and development and tests let it.',
    file: 'src/engine/graphql/guarded-root.ts',
    replace: [
      [
        "if (typeof field === 'symbol' || allowed.has(field) || HARMLESS.has(field)) return;",
        "if (reader !== '') return;",
      ],
    ],
    killedBy: 'test/api/cached-root.test.ts > throws when it reads another field of its root',
  },
  {
    name: 'near/flag-as-code',
    what: 'What a log read proved is remembered from when its answer came, and not asked for when a value is served.',
    file: STORE_READS,
    replace: [
      [
        '  readonly cursor: LogCursor | undefined;\n',
        '  readonly cursor: LogCursor | undefined;\n  readonly proved: boolean;\n',
      ],
      [
        'if (cursor !== undefined) this.#near?.applyLogRead(cursor, view);\n    return { trip, view, cursor, keys };',
        'const proved = cursor !== undefined && this.#near?.applyLogRead(cursor, view) === true;\n    return { trip, view, cursor, keys, proved };',
      ],
      [
        '  proves({ cursor }: StoreReply): boolean {\n    return cursor !== undefined && this.#near?.provedAfter(cursor.number - 1) === true;',
        '  proves({ proved }: StoreReply): boolean {\n    return proved;',
      ],
    ],
    killedBy: `${NEAR_TEST} > what a log read proved is asked for when a value is served`,
  },
  {
    name: 'near-mut/put-no-identity',
    what: 'What was asked for under another lease is kept.',
    file: NEAR,
    replace: [
      ['since.identity !== this.#identity || since.log.epoch !== mark.epoch', 'since.log.epoch !== mark.epoch'],
    ],
    killedBy: `${NEAR_TEST} > that was asked for under another generation`,
  },
  {
    name: 'near/fence-evicted',
    what: 'RELEASE does not log that its fence is gone.',
    file: 'src/engine/redis/release.lua',
    replace: [["(ARGV[10] == 'always' or (ARGV[10] == 'if lost' and lost))", "ARGV[10] == 'always'"]],
    killedBy: `${EVICTED} > leaves no old value in process memory, which may have kept what was read past it`,
  },
  {
    name: 'ours/known-epoch-unchecked',
    what: 'A writer appends to the log under the epoch that it knows, also where the log has begun again under a lower one.',
    file: 'src/engine/redis/log-append.lua',
    replace: [["if not string.match(id, '%-0$') then return id end", 'if id then return end']],
    killedBy: `${SCRIPTS} > begins again where it has a lower epoch`,
  },
  {
    name: 'ours/note-evicted',
    what: 'RELEASE does not log that the note of its fence is gone.',
    file: 'src/engine/redis/release.lua',
    replace: [['lost = notes == 0 and last_tag > 4', 'lost = notes == false']],
    killedBy: `${EVICTED} > makes RELEASE append to the log`,
  },
  {
    name: 'ours/trim-line-of-another-history',
    what: 'A trim line that a dump brought of another cluster stays, so each tick purges.',
    file: 'src/engine/postgres/outbox.ts',
    replace: [[' or trim.below > line.most', '']],
    killedBy:
      'test/invalidation/upkeep.test.ts > what a dump brought of another cluster, whose transaction ids are higher, is trimmed at once',
  },
  {
    name: 'ours/fence-evicted-elsewhere',
    what: 'In a Cluster the log group does not log that another group has lost the fence.',
    file: WRITES,
    replace: [["logs === 'if lost' && lost ? 'always' : logs", 'logs']],
    killedBy: `${COUNTEREXAMPLES} > logs in the log group, when a transaction is over, that another group has lost its fence or its note`,
  },
  {
    name: 'split/memory',
    what: 'In a Cluster memory depends on the lease of the log group alone.',
    file: CURSOR,
    replace: [
      [IDENTITY, OF_HOME_ALONE],
      [NAMED, 'void generation;'],
    ],
    killedBy: `${CLUSTER} > drops what a shard's old primary said as soon as the log group names the lease of the new one`,
  },
  {
    name: 'split/generation-only',
    what: "Another lease of a group empties memory, but what is kept is not compared with the lease that the log group's names.",
    file: CURSOR,
    replace: [[NAMED, 'void generation;']],
    killedBy: `${CLUSTER} > does not keep what a shard's old primary says after the log group names the lease of the new one`,
  },
  {
    name: 'ours/split-identity',
    what: "What is kept is compared with the lease that the log group's names, but another one there does not empty memory.",
    file: CURSOR,
    replace: [[IDENTITY, OF_HOME_ALONE]],
    killedBy: `${CLUSTER} > drops what a shard's old primary said as soon as the log group names the lease of the new one`,
  },
  {
    name: 'ours/split-answer',
    what: "A known answer does not depend on the leases of its parts' groups.",
    file: READER,
    replace: [['const cursor = cursorOf(reply, call);', 'const { cursor } = reply;']],
    killedBy: `${CLUSTER} > does not keep what a shard's old primary says after the log group names the lease of the new one`,
  },
  {
    name: 'ours/applied-elsewhere-nolog',
    what: 'The log group does not log what another group had not released, where it has released it itself.',
    file: RELAY,
    replace: [['new Set([...replies.values()].flatMap(({ unreleased }) => unreleased))', 'new Set()']],
    killedBy: `${CLUSTER} > drops what it read from a shard's old primary when a relay that still sees that primary`,
  },
  {
    name: 'reset-mut/reader-old-run',
    what: "A command that names the run of a server reaches another one: a Cluster's client sends it again.",
    file: 'src/engine/redis/sends-once.ts',
    replace: [['handlers.defaults();', 'super.handleError(error, _tries, handlers);']],
    killedBy: `${RESEND} > a READ is not sent again: it fails, and the next one names the run of the server that has the slots now`,
  },
  {
    name: 'fair/own-write',
    what: 'A request that has created its user reads on from memory that was read before that.',
    file: 'src/domain/users/identities.ts',
    replace: [['if (readSet !== undefined) this.#options.cache.renew(readSet);', '']],
    killedBy: 'test/access/identities.test.ts > exists for the rest of it',
  },
  {
    name: 'fair/begins-late',
    what: 'A write begins although its answer was given up while its connection was opened.',
    file: TRANSACT,
    replace: [['by?.signal?.throwIfAborted();', '']],
    killedBy: 'test/api/write-queue.test.ts > when its client has gone already does not begin',
  },
  {
    name: 'fair/no-share',
    what: 'One viewer may hold all slots.',
    file: 'src/engine/cache/fair-queue.ts',
    replace: [['(this.#held.get(owner) ?? 0) < Math.min(maxEach, max - this.#running)', 'true']],
    killedBy: 'test/fair-queue.test.ts > holds at most its share, also while no other owner wants a slot',
  },
  {
    name: 'ours/list-without-aspect',
    what: 'A list that filters by status depends on which tasks there are alone.',
    file: 'src/domain/tasks/task.list-tags.ts',
    replace: [['status: taskRows.statusByProject', 'status: taskRows.membershipByProject']],
    killedBy: 'test/api/surviving-lists.test.ts > drops what looks at what it changes, and nothing else',
  },
  {
    name: 'ours/list-without-membership',
    what: 'A list that filters by a column does not depend on which tasks there are.',
    file: 'src/domain/tasks/task.list-tags.ts',
    replace: [['[...followed.add(taskRows.membershipByProject)]', '[...followed]']],
    killedBy: 'test/api/surviving-lists.test.ts > drops what looks at what it changes, and nothing else',
  },
  {
    name: 'ours/early-write-alone',
    what: 'A statement that writes and is sent with BEGIN also writes where BEGIN has failed.',
    file: 'src/db/migrations/0023_task_fields_written.sql',
    replace: [["current_setting('transaction_deferrable') <> 'on'", 'false']],
    killedBy: 'test/db/update-at-once.test.ts > outside of a transaction it writes nothing',
  },
  {
    name: 'ours/any-statement-early',
    what: 'Whatever a transaction sends first goes with BEGIN, and is a transaction of its own where BEGIN fails.',
    file: 'src/engine/postgres/write-pool.ts',
    replace: [['const early = this.#early && ', 'const early = ']],
    killedBy: 'test/db/begin.test.ts > one that may write waits until BEGIN has been answered',
  },
  {
    name: 'fill-mut/no-exact',
    what: 'RELEASE stores what its transaction wrote, whatever its tags hold.',
    file: 'src/engine/redis/release.lua',
    replace: [['if held[index] ~= own_fence then', 'if false then']],
    killedBy: 'test/cache/store-conformance.test.ts > stores nothing when, under its fence,',
  },
  {
    name: 'fill-mut/no-mark',
    what: 'A fence does not show that another transaction was released under it.',
    file: 'src/engine/redis/release-tags.lua',
    replace: [
      [
        "redis.call('SET', keys[index], '!' .. table.concat(left, ',') .. ',')",
        "redis.call('SET', keys[index], '!,' .. table.concat(left, ',') .. ',')",
      ],
    ],
    killedBy: 'test/cache/store-conformance.test.ts > stores nothing when, under its fence,',
  },
  {
    name: 'fill-mut/no-sole-rows',
    what: 'FENCE does not compare the tokens that the writer expects.',
    file: 'src/engine/redis/fence.lua',
    replace: [['exact = exact and held[tonumber(index)] == token', '']],
    killedBy: 'test/cache/store-conformance.test.ts > learns from FENCE that there is',
  },
  {
    name: 'fill-mut/value-first',
    what: 'The tokens of what a write stores may have been read after its statement.',
    file: 'src/engine/cache/near-cache.ts',
    replace: [['copy.put >= before || ', '']],
    killedBy:
      'test/invalidation/written-values.test.ts > where a write of its labels ends between the statement and its FENCE',
  },
  {
    name: 'fill-mut/dup-fills',
    what: 'A write stores what it wrote also where an earlier FENCE may still be executed.',
    file: 'src/engine/cache/fencing.ts',
    replace: [["typeof reply === 'object' && attempt === 0", "typeof reply === 'object'"]],
    killedBy: 'test/cache/cache.test.ts > failures, with the expected token there, it is',
  },
  {
    name: 'fill-mut/fill-aborted',
    what: 'A write stores what it wrote although it was rolled back.',
    absent: 'Only the RELEASE behind an acknowledged COMMIT is given anything to store.',
  },
  {
    name: 'fill-mut/stamp-at-release',
    what: 'The token of a tag that the write did not touch is read by RELEASE.',
    absent: 'The stamps of the entry in memory are the only source of tokens.',
  },
  {
    name: 'wput-mut/own-tags',
    what: 'Memory keeps what a write of its process made although a later record names one of the tags it fenced.',
    file: 'src/engine/cache/near-cache.ts',
    replace: [['else if (this.holdsSince(fenced, copy.own)) this.put', 'else this.put']],
    killedBy: 'test/cache/written-copies.test.ts > another write of the same tag was fenced behind it',
  },
  {
    name: 'wput-mut/other-tags',
    what: 'Memory keeps what a write of its process made although a record names another tag of the entry.',
    file: 'src/engine/cache/near-cache.ts',
    replace: [
      ['this.put(copy.since, copy.key, copy.entry, copy.others)', 'this.put(fenced, copy.key, copy.entry, [])'],
    ],
    killedBy: 'test/cache/written-copies.test.ts > a row of another tag of the entry was written since memory had it',
  },
  {
    name: 'wput-mut/no-lease',
    what: 'Memory keeps what a write of its process made, whatever lease FENCE found.',
    file: 'src/engine/cache/near-cache.ts',
    replace: [['if (lease === undefined || identityOf(lease) !== this.#identity) return;', 'void lease;']],
    killedBy: 'test/cache/written-copies.test.ts > FENCE found another lease than that of memory',
  },
  {
    name: 'wput-mut/identity',
    what: 'What a write made waits for its record although memory is emptied meanwhile.',
    absent: 'Put compares the identity: near-mut/put-no-identity. What waits goes with the copies.',
  },
  {
    name: 'wput-mut/late-tokens',
    what: 'The copy whose tokens FENCE compares may have come after the statement.',
    file: 'src/engine/cache/near-cache.ts',
    replace: [['copy.put >= before || ', '']],
    killedBy: 'test/cache/written-copies.test.ts > this process has read it only after the first statement',
  },
  {
    name: 'wput-mut/token-always',
    what: 'RELEASE gives its token to the tags of what it stores also where another write has come in between.',
    file: 'src/engine/redis/release.lua',
    replace: [['kept[index] = kept[index] or not fill.refused', 'kept[index] = true']],
    killedBy: 'test/cache/store-conformance.test.ts > stores nothing when, under its fence,',
  },
  {
    name: 'wput-mut/at-fence',
    what: 'Memory keeps what a write makes before its COMMIT was acknowledged.',
    absent: 'Only `#committed` of the transactor gives memory anything.',
  },
  {
    name: 'ours/fill-two-statements',
    what: 'A write stores what a statement returned although another one changed cached rows.',
    file: 'src/engine/postgres/outbox.ts',
    replace: [['depends.has(table)).length === 1', 'depends.has(table)).length >= 1']],
    killedBy:
      'test/invalidation/written-values.test.ts > where the statement has a trigger that changes the row once more',
  },
  {
    name: 'ours/fill-not-last',
    what: 'A write stores what a statement returned although another one followed.',
    file: 'src/engine/postgres/outbox.ts',
    replace: [
      ['const isLast = known !== undefined && known.sent === statementCount(tx)', 'const isLast = known !== undefined'],
    ],
    killedBy:
      'test/invalidation/written-values.test.ts > where the statement returns the row as it was, and the one behind it changes it',
  },
  {
    name: 'fair/no-room',
    what: 'Greedy viewers hold all slots together, and another one waits for theirs.',
    file: 'src/engine/cache/fair-queue.ts',
    replace: [['Math.min(maxEach, max - this.#running)', 'Math.min(maxEach, max / 2)']],
    killedBy: 'test/fair-queue.test.ts > that comes later finds a free slot, however much others want',
  },
  {
    name: 'fair/joined-line',
    what: 'A load in line that another viewer needs, too, waits for the viewer who began it.',
    file: FLIGHTS,
    replace: [
      [
        'for (const flight of joined) flight?.load.turn.share(viewer); // which waits in the line of this viewer as well',
        '',
      ],
    ],
    killedBy: 'test/cache/engine.test.ts > begins with the turn of whichever of them is served first',
  },
  {
    name: 'fair/many-tags',
    what: 'An entry is kept under any number of tags.',
    file: READER,
    replace: [['return tags.length <= MAX_TAGS;', 'return true;']],
    killedBy: 'test/cache/engine.test.ts > a value under more tags than are worth proving',
  },
  {
    name: 'live-mut/no-timer',
    what: 'The log is read only when a message comes.',
    file: LIVE,
    replace: [
      ['const timer = setInterval(() => void this.#readLog(), READ_LOG_EVERY_MS).unref();', 'const timer = undefined;'],
    ],
    killedBy: `${LIVE_TEST} > is read by a timer: a write is found although no message of it arrives`,
  },
  {
    name: 'live-mut/order-outside',
    what: 'The order of answers holds for writes around the API from their commit on.',
    absent: 'It is not promised: another process may store what it loaded before such a write.',
  },
  {
    name: 'live-mut/order-outside-lease',
    what: 'The same, without another process.',
    absent: 'As live-mut/order-outside.',
  },
  {
    name: 'live-mut/unground',
    what: 'An answer that was read under a fence or without a lease counts as proved.',
    file: LIVE,
    replace: UNGROUND,
    killedBy: `${LIVE_TEST} > whose fence the run has met is repeated by time until it is proved: no record and no message comes`,
  },
  {
    name: 'live-mut/bound-unground',
    what: 'The same: the bound.',
    file: LIVE,
    replace: UNGROUND,
    killedBy: LIVE_RANDOM,
  },
  {
    name: 'live-mut/since-latest',
    what: 'An answer counts from the latest log read of its parts.',
    file: SESSION,
    replace: [['since.log.sequence < earliest.log.sequence', 'since.log.sequence > earliest.log.sequence']],
    killedBy: `${LIVE_TEST} > is held against each part from the read of that part on, although later parts were read after it`,
  },
  {
    name: 'live-mut/since-end',
    what: 'An answer counts from its end: a run that began before the record is taken for newer.',
    file: LIVE,
    replace: SINCE_END,
    killedBy: `${LIVE_TEST} > that memory knows of at its end is held against the answer from its first read on`,
  },
  {
    name: 'live-mut/bound-since-end',
    what: 'The same: the bound.',
    file: LIVE,
    replace: SINCE_END,
    killedBy: LIVE_RANDOM,
  },
  {
    name: 'live-mut/known-mark',
    what: 'Records that come during a run are held against the tags of the answer before it only.',
    file: LIVE,
    replace: [
      ...SINCE_END,
      ["if (query.state === 'running' || query.gone.signal.aborted) return;", 'if (query.gone.signal.aborted) return;'],
      ['const proved = !uncacheable &&', 'const proved = query.dueSinceMs === undefined && !uncacheable &&'],
    ],
    killedBy: `${LIVE_TEST} > is held against the tags of the new answer, which the one before did not have`,
  },
  {
    name: 'live-mut/drop-early',
    what: 'Tags are dropped when a run begins, and the new ones entered at its end without looking back.',
    file: LIVE,
    replace: [...SINCE_END, ['query.runs++;', 'query.runs++;\n    this.#index.set(query, NO_TAGS);']],
    killedBy: `${LIVE_TEST} > that memory knows of at its end is held against the answer from its first read on`,
  },
  {
    name: 'live-mut/old-index',
    what: 'The tags of the new answer are not entered.',
    file: LIVE,
    replace: [
      [
        'query.isIndexed = this.#index.set(query, tags);',
        'query.isIndexed = query.runs > 2 || this.#index.set(query, tags);',
      ],
    ],
    killedBy: `${LIVE_TEST} > sends no answer that is equal to the one before, and goes on under the tags of the new one`,
  },
  {
    name: 'live-mut/fail-forgets',
    what: 'A run that fails is not made again.',
    file: LIVE,
    replace: [['this.#makeDue(query, afterMs);', 'if (isPostponed) this.#makeDue(query, afterMs);']],
    killedBy: `${LIVE_TEST} > that fails is made again`,
  },
  {
    name: 'live-mut/only-poll',
    what: 'Records that other log reads bring do not make a live query due.',
    file: LIVE,
    replace: ONLY_POLL,
    killedBy: `${LIVE_TEST} > makes the query due by whichever log read brings the record, that of a request included`,
  },
  {
    name: 'live-mut/bound-only-poll',
    what: 'The same: the bound.',
    file: LIVE,
    replace: ONLY_POLL,
    killedBy: LIVE_RANDOM,
  },
  {
    name: 'live-mut/forget',
    what: 'Memory is emptied by a gap, and no live query is due.',
    file: LIVE,
    replace: FORGETS,
    killedBy: `${LIVE_TEST} > with a gap proves nothing: every query runs`,
  },
  {
    name: 'live-mut/forget-lapse',
    what: 'Memory is emptied by another lease, and no live query is due.',
    file: LIVE,
    replace: FORGETS,
    killedBy: `${LIVE_TEST} > of another lease or another life proves nothing about this one: every query runs`,
  },
  {
    name: 'live-mut/bound-forget',
    what: 'The same: the bound.',
    file: LIVE,
    replace: FORGETS,
    killedBy: LIVE_RANDOM,
  },
  {
    name: 'live-mut/overlap',
    what: 'Runs of one live query overlap, and each answer is sent.',
    file: LIVE,
    replace: [
      ["if (query.state === 'running' || query.gone.signal.aborted) return;", 'if (query.gone.signal.aborted) return;'],
      ["if (query.state === 'waiting') this.#wakeIn(query, waitMs);", 'this.#wakeIn(query, waitMs);'],
    ],
    killedBy: `${LIVE_TEST} > does not begin another run before the first has ended, so no older answer can follow`,
  },
  {
    name: 'live-mut/overlap-by-number',
    what: 'Runs overlap, and an answer is dropped if that of a run which began later was sent.',
    absent: 'Runs of one live query do not overlap, so there is nothing to compare.',
  },
  {
    name: 'live-mut/overlap-by-ground',
    what: 'Runs overlap, and an answer is dropped if its ground is before that of the last one sent.',
    absent: 'As live-mut/overlap-by-number.',
  },
  {
    name: 'live-mut/attach-joins',
    what: 'A client that joins gets the answer of the run in progress.',
    file: LIVE,
    replace: [
      [
        'if (!waiting.has(member) && (!changed || !member.isAnswered)) continue;',
        'if (!waiting.has(member) && !query.waiting.delete(member) && !changed) continue;',
      ],
    ],
    killedBy: `${LIVE_TEST} > that joins during a run gets the answer of one that begins afterwards`,
  },
  {
    name: 'live-mut/attach-last',
    what: 'A client that joins gets the last answer at once.',
    absent: 'No answer is kept, only its digest.',
  },
  {
    name: 'live-mut/attach-owed-only',
    what: 'A client that joins gets the last answer on a log read, although a run is in progress.',
    absent: 'Its first answer is always that of a run.',
  },
  {
    name: 'live-mut/join-any',
    what: 'A load joins whatever load of its key is in progress, and counts from its own log read.',
    file: FLIGHTS,
    replace: [
      ['storable !== undefined && storable.stamps === stamps ?', 'storable !== undefined ?'],
      ['const isOwn = flight.stamps !== undefined && flight.stamps === miss.stamps;', 'const isOwn = true;'],
    ],
    killedBy: `${LIVE_TEST} > joins no load that began before the tokens it has read itself`,
  },
  {
    name: 'live/named-unheard',
    what: 'An emptied memory makes live queries due only if a log read of theirs finds it.',
    file: LIVE,
    replace: [['emptied: () => {\n        this.#missed();', 'emptied: () => {']],
    killedBy: `${LIVE_TEST} > that another request finds lost makes every query due, however short the loss`,
  },
  {
    name: 'live/failed-look',
    what: 'A log read that fails makes no live query due.',
    file: LIVE,
    replace: [["events.storeFailed?.('read', error);\n      this.#missed();", "events.storeFailed?.('read', error);"]],
    killedBy: `${LIVE_TEST} > that cannot be read makes every query due: what is written now may have no record`,
  },
  {
    name: 'live/no-recovery',
    what: 'When memory is proved again, what waits for that goes on waiting.',
    file: LIVE,
    replace: [
      [
        'if (reads.proves(await reads.readLog())) this.#recovered();',
        'if (reads.proves(await reads.readLog())) return;',
      ],
    ],
    killedBy: `${LIVE_TEST} > that can be read again ends long waits, for what could not be proved without it`,
  },
  {
    name: 'live/full-index',
    what: 'A live query whose tags do not fit into the index is settled.',
    file: LIVE,
    replace: [['if (!proved || !query.isIndexed)', 'if (!proved)']],
    killedBy: `${LIVE_TEST} > whose tags do not fit into the index is repeated by time`,
  },
  {
    name: 'live/index-for-one',
    what: 'One viewer can fill the index.',
    file: 'src/engine/cache/live/tag-index.ts',
    replace: [[' && held + more <= this.#max / SHARES', '']],
    killedBy: `${LIVE_TEST} > takes no more than a quarter of the index for one viewer`,
  },
  {
    name: 'live/failure-named',
    what: 'A run that fails is repeated whenever a tag is named.',
    file: LIVE,
    replace: [
      [
        'query.notBeforeMs = this.#parts.clock.monotonicMs() + afterMs;',
        'if (isPostponed) query.notBeforeMs = this.#parts.clock.monotonicMs() + afterMs;',
      ],
    ],
    killedBy: `${LIVE_TEST} > that fails again and again is made less often, however often a tag of it is named`,
  },
  {
    name: 'live/uncacheable-named',
    what: 'An answer that nothing can ever prove is repeated soon after each record that names it.',
    file: LIVE,
    replace: [['if (!query.isUncacheable) query.unproved = 0;', 'query.unproved = 0;']],
    killedBy: `${LIVE_TEST} > whose answer nothing can prove is repeated no more often because its tags are named`,
  },
  {
    name: 'live/stale-value',
    what: 'A run is served values past their time to live.',
    file: READING,
    replace: [['readSet?.snapshot === true || readSet?.live === true', 'readSet?.snapshot === true']],
    killedBy: `${LIVE_TEST} > is never served a value past its time to live`,
  },
  {
    name: 'live/time-over',
    what: 'An answer whose time is over stays.',
    file: LIVE,
    replace: [
      [
        'else if (query.dueSinceMs === undefined && leftMs !== Number.POSITIVE_INFINITY) this.#wakeIn(query, leftMs);',
        '',
      ],
    ],
    killedBy: `${LIVE_TEST} > is made again when the time of its answer is over`,
  },
  {
    name: 'live/kept-answer',
    what: 'An answer that was kept is given to a run without what it depends on.',
    file: ANSWER_CACHE,
    replace: [['if (readSet.live) readSet.dependencies?.add(tags, near.currentCursor, untilMs);', '']],
    killedBy: `${LIVE_TEST} > that is given a kept answer depends on what that answer depends on`,
  },
  {
    name: 'live/tags-of-unproved',
    what: 'The tags of an answer that nothing can prove are not recorded, so no message ends its wait.',
    file: SESSION,
    replace: [['if (this.#uncacheable && !this.#keepsAllTags) return;', 'if (this.#uncacheable) return;']],
    killedBy: `${LIVE_TEST} > ends by its release the long wait of a run that met its fence`,
  },
  {
    name: 'live/gone-is-indexed',
    what: 'What a run found whose clients have left is entered.',
    file: LIVE,
    replace: [['if (signal.aborted) return;\n    let ended:', 'let ended:']],
    killedBy: `${LIVE_TEST} > that has no client left ends: nothing of it stays, and nothing is sent`,
  },
  {
    name: 'live/settled-after-sending',
    what: 'An answer is sent before its tags are entered, and a client leaves with it.',
    file: LIVE,
    replace: [
      [
        'const proved = this.#settle(query, readSet);\n      const { text } = outcome;\n      ended = { result: this.#send(query, { number: query.runs, text, digest: digestOf(text) }, waiting), proved };',
        'const { text } = outcome;\n      const result = this.#send(query, { number: query.runs, text, digest: digestOf(text) }, waiting);\n      ended = { result, proved: this.#settle(query, readSet) };',
      ],
    ],
    killedBy: `${LIVE_TEST} > ends also when its last client leaves with its answer`,
  },
];

/** The file and the text of `killedBy`. */
export function killerOf({ killedBy }: Applied): { readonly file: string; readonly title: string } {
  const [file = '', title = ''] = killedBy.split(' > ');
  return { file, title };
}

/**
 * The changed files of a mutant, by path.
 * @throws when a text is not found exactly once
 */
export function mutated({ name, file, replace }: Applied, read: (file: string) => string): ReadonlyMap<string, string> {
  const changes = new Map<string, { at: number; text: string; mutated: string }[]>();
  for (const [text, mutated, path = file] of replace) {
    const source = read(path);
    const at = source.indexOf(text);
    if (at === -1 || source.indexOf(text, at + 1) !== -1) {
      throw new Error(`${name}: this is expected exactly once in ${path}: ${text}`);
    }
    changes.set(path, [...(changes.get(path) ?? []), { at, text, mutated }]);
  }
  return new Map(
    [...changes].map(([path, parts]) => {
      // From the end, so that places found in the original stay where they are.
      const changed = parts
        .toSorted((a, b) => b.at - a.at)
        .reduce((all, { at, text, mutated }) => all.slice(0, at) + mutated + all.slice(at + text.length), read(path));
      return [path, changed];
    }),
  );
}
