import eslint from '@eslint/js';
import tseslint from 'typescript-eslint';
import importZones from './tools/import-zones.mjs';

export default tseslint.config(
  { ignores: ['dist/', 'coverage/', 'node_modules/'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  eslint.configs.recommended,
  ...tseslint.configs.strict,
  ...tseslint.configs.stylistic,
  {
    rules: {
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'no-console': 'error',
      // A variable that a closure reads before its one assignment is not a constant.
      'prefer-const': ['error', { ignoreReadBeforeAssign: true }],
      // Indexes are checked once, at the border; behind it the compiler is told so.
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      // Loops over typed arrays by index are what hot paths are made of.
      '@typescript-eslint/prefer-for-of': 'off',
      // The name of the key says what an index is.
      '@typescript-eslint/consistent-indexed-object-style': 'off',
      '@typescript-eslint/no-empty-function': 'off',
    },
  },
  {
    files: ['**/*.ts'],
    languageOptions: {
      parserOptions: {
        projectService: { allowDefaultProject: ['jest.config.ts'] },
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/await-thenable': 'error',
    },
  },
  {
    // What is no module of ECMAScript's imports this way.
    files: ['**/*.cts'],
    rules: { '@typescript-eslint/no-require-imports': ['error', { allowAsImport: true }] },
  },
  {
    files: ['src/**/*.ts'],
    plugins: { lguest: { rules: { 'import-zones': importZones } } },
    rules: { 'lguest/import-zones': 'error' },
  },
  {
    files: ['tools/**', 'test/**'],
    languageOptions: {
      globals: { process: 'readonly', console: 'readonly', URL: 'readonly', performance: 'readonly' },
    },
    rules: { 'no-console': 'off' },
  },
);
