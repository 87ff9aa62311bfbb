/** Node's options for a server in production, as the Dockerfile has them: docs/deployment.md says what each is for. */
export const PRODUCTION_FLAGS: readonly string[] = ['--max-semi-space-size=64', '--no-allocation-site-pretenuring'];
