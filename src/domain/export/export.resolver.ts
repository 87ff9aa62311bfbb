/** The mutation `exportProject`: a mutation, so that its answer is never cached. */
import { Arg, Ctx, Mutation, Resolver } from 'type-graphql';
import { z } from 'zod';
import type { Context } from '../../graphql/context.js';
import { idInput, parseInput, Refusal, toPayload, UserErrorCode } from '../../graphql/user-error.js';
import { notFound, roleIn } from '../projects/access.js';
import { ExportFormatType, ExportProjectInput, ExportProjectPayload } from './export.type.js';
import { type ExportLinks, LINK_MS } from './export-links.js';

/** Where the server serves exports. */
export const EXPORT_PATH = '/exports';

const exportInput = z.object({ projectId: idInput('project'), format: z.enum(ExportFormatType) });

@Resolver()
export class ExportResolver {
  /** @param links absent: the server has no secret to sign with */
  constructor(private readonly links: ExportLinks | undefined) {}

  @Mutation(() => ExportProjectPayload, {
    description:
      'Creates an address from which the project can be downloaded for five minutes. Every member can do this. The file ' +
      'shows the project at the moment at which the download begins. It leaves out relations to tasks of other projects.',
  })
  exportProject(
    @Ctx() context: Context,
    @Arg('input', () => ExportProjectInput, { description: 'The project and the format.' }) input: ExportProjectInput,
  ) {
    return toPayload(async () => {
      const { projectId, format } = parseInput(exportInput, input);
      const path = ['input', 'projectId'];
      if ((await roleIn(context, projectId)) === undefined) throw notFound('project', path);
      if (this.links === undefined) {
        throw new Refusal(UserErrorCode.FORBIDDEN, 'this server has no EXPORT_SECRET, so it makes no addresses', path);
      }
      const expiresAtMs = Date.now() + LINK_MS;
      const link = this.links.sign({ projectId, viewerId: context.viewerId, format, expiresAtMs });
      return { url: `${EXPORT_PATH}?link=${link}`, expiresAt: new Date(expiresAtMs).toISOString() };
    });
  }
}
