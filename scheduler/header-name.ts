/**
 * Names of HTTP headers in parameters.
 * @module
 */
import { z } from "zod";

/** token of RFC 9110, 5.6.2 */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** Any case; becomes lower case, as headers are compared. */
export const headerName = z
  .string()
  .min(1)
  .refine((name) => TOKEN.test(name), {
    error: ({ input }) => `must be the name of a header, got ${JSON.stringify(input)}`,
  })
  .transform((name) => name.toLowerCase());
