/**
 * Mutations whose writes prove that the viewer exists. Every other mutation checks that before it runs, since a token
 * can outlive its user.
 */
import { type GraphQLSchema, Kind, type OperationDefinitionNode } from 'graphql';
import { Extensions } from 'type-graphql';

const WRITES_AS_MEMBER = 'writesAsMember';

/**
 * For a mutation that does nothing but change rows in a transaction that finds the viewer's membership in their project.
 * Memberships refer to their users, so a write proves the viewer; only if nothing was written is the check still due.
 */
export const WritesAsMember = () => Extensions({ [WRITES_AS_MEMBER]: true });

/** Whether all fields of a mutation are such. */
export function writesAsMember(schema: GraphQLSchema, { selectionSet }: OperationDefinitionNode): boolean {
  const fields = schema.getMutationType()?.getFields();
  return selectionSet.selections.every(
    (selection) =>
      selection.kind === Kind.FIELD && fields?.[selection.name.value]?.extensions[WRITES_AS_MEMBER] === true,
  );
}
