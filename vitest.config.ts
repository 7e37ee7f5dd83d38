import { defineConfig } from 'vitest/config';

const conditions = ['@mesh/source'];

export default defineConfig({
  ssr: { resolve: { conditions } },
  resolve: { conditions },
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['packages/*/src/**/*.test.ts', 'apps/*/src/**/*.test.ts'],
          testTimeout: 20_000,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/*/src/**/*.test.ts'],
          testTimeout: 180_000,
          hookTimeout: 180_000,
          // Hosts of a lab share two cores and one name space for bridges: one file at a time.
          fileParallelism: false,
        },
      },
    ],
  },
});
