/** How tokens are verified, and which algorithms are allowed. */

export type TokenConfig =
  | {
      readonly kind: 'secret';
      /** Signs. */
      readonly secret: string;
      /** Their tokens are accepted, too, while secrets are exchanged. */
      readonly previous?: readonly string[];
    }
  | { readonly kind: 'jwks'; readonly url: string };

/** Algorithms for a shared secret. */
export const SECRET_ALGORITHMS: readonly string[] = ['HS256', 'HS384', 'HS512'];
/** Algorithms for a key set. */
export const KEY_SET_ALGORITHMS: readonly string[] = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
];
