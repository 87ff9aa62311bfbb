/**
 * The package's door `/postgres-js`: postgres.js with the faults mended that the cache cannot live with. Here it is the
 * installed driver, to which `patches/` is applied; the package's build puts a copy of its mended files in this place.
 */
export { default } from 'postgres';
