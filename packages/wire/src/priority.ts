/** Weights of a job against others: 1 is ordinary, 2 gets twice the slots. Beyond these a job would be all there is, or nothing. */
export const MIN_PRIORITY = 0.01;
export const MAX_PRIORITY = 100;
