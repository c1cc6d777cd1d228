/*
 * How often one address may ask. Whoever is above it is answered 429 until the second is over; health and metrics are always
 * answered. Meant for scripts that run wild and for whoever tries tokens, not for people.
 */

/** Requests per second, of all routes that say nothing else. */
export const perSecond = 200;

/** Of a route that asks the broker, or other bridges. */
export const costly = { rateLimit: { max: 30, timeWindow: 1_000 } } as const;

/** Of an operation: so many tokens a second can be tried, too. */
export const operating = { rateLimit: { max: 20, timeWindow: 1_000 } } as const;
