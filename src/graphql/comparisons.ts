/**
 * Limits the work of validation. Fields of one name in one object must agree, so graphql-js compares every pair of
 * them. 270 repetitions of `projects { nodes { id } }`, 5 KB, take 109,000 comparisons and 60 ms.
 */
import {
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  GraphQLError,
  Kind,
  type SelectionSetNode,
  type ValidationRule,
  visit,
} from 'graphql';

export interface ComparisonLimits {
  /** Maximum number of pairs of fields. */
  readonly max: number;
  /**
   * Maximum number of selections visited, counting each use of a fragment. In larger documents, fields of one name are
   * counted as if all were in one object.
   */
  readonly maxSelections: number;
}

/** Reports a document that repeats its fields too often, and keeps the other rules from visiting it. */
export function maxComparisonsRule({ max: limit, maxSelections }: ComparisonLimits): ValidationRule {
  return (context) => ({
    Document: (document) => {
      if (comparisonsOf(document, maxSelections) <= limit) return undefined;
      const message = `The same fields are selected too often in one object: at most ${limit} pairs of them are compared.`;
      context.reportError(new GraphQLError(message, { extensions: { argument: 'repetitions', limit } }));
      return { ...document, definitions: [] };
    },
  });
}

class TooManySelections extends Error {}

/**
 * The number of pairs of fields with one name in one object of the response. An upper bound if fragments are used
 * several times.
 */
export function comparisonsOf(document: DocumentNode, maxSelections: number): number {
  try {
    return new Comparisons(document, maxSelections).count();
  } catch (error) {
    if (error instanceof TooManySelections) return pairsAnywhere(document);
    throw error;
  }
}

class Comparisons {
  readonly #document: DocumentNode;
  readonly #fragments: ReadonlyMap<string, FragmentDefinitionNode>;
  readonly #maxSelections: number;
  #selections = 0;
  #pairs = 0;

  constructor(document: DocumentNode, maxSelections: number) {
    this.#document = document;
    this.#maxSelections = maxSelections;
    this.#fragments = new Map(
      document.definitions.flatMap((node) =>
        node.kind === Kind.FRAGMENT_DEFINITION ? [[node.name.value, node] as const] : [],
      ),
    );
  }

  /** @throws TooManySelections if nested fragments multiply to more selections than a request may have */
  count(): number {
    for (const definition of this.#document.definitions) {
      if ('selectionSet' in definition && definition.selectionSet) this.#compare([definition.selectionSet]);
    }
    return this.#pairs;
  }

  /** @param sets selection sets of one object; all their fields are merged in the response */
  #compare(sets: readonly SelectionSetNode[]): void {
    const named = new Map<string, FieldNode[]>();
    const spread = new Set<string>();
    for (const set of sets) this.#collect(set, named, spread);
    for (const nodes of named.values()) {
      this.#pairs += pairsOf(nodes.length);
      const inner = nodes.flatMap(({ selectionSet }) => selectionSet ?? []);
      if (inner.length > 0) this.#compare(inner);
    }
  }

  #collect({ selections }: SelectionSetNode, named: Map<string, FieldNode[]>, spread: Set<string>): void {
    for (const node of selections) {
      if (++this.#selections > this.#maxSelections) throw new TooManySelections();
      if (node.kind === Kind.FIELD) {
        const name = nameOf(node);
        const nodes = named.get(name);
        if (nodes === undefined) named.set(name, [node]);
        else nodes.push(node);
      } else if (node.kind === Kind.INLINE_FRAGMENT) {
        this.#collect(node.selectionSet, named, spread);
      } else if (!spread.has(node.name.value)) {
        spread.add(node.name.value);
        const fragment = this.#fragments.get(node.name.value);
        if (fragment !== undefined) this.#collect(fragment.selectionSet, named, spread);
      }
    }
  }
}

/** An upper bound: every comparison is between two fields of one name, wherever they are. */
function pairsAnywhere(document: DocumentNode): number {
  const counts = new Map<string, number>();
  visit(document, { Field: (node) => void counts.set(nameOf(node), (counts.get(nameOf(node)) ?? 0) + 1) });
  return [...counts.values()].reduce((sum, count) => sum + pairsOf(count), 0);
}

function nameOf({ alias, name }: FieldNode): string {
  return (alias ?? name).value;
}

function pairsOf(count: number): number {
  return (count * (count - 1)) / 2;
}
