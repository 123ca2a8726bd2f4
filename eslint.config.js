import js from '@eslint/js'
import { defineConfig } from 'eslint/config'
import tseslint from 'typescript-eslint'

// lib's layers: a file may import from its own layer and from those below it.
// Whatever is named in none of them is a concern of its own (batch, plan, watch
// and so on) and belongs between `basis` and `verbs`.
const basis = [
  ...['native', 'validate', 'memory', 'records', 'errors', 'meanings', 'errno'],
  ...['address', 'ipv4', 'ipv6', 'known'],
]
const verbs = ['ipvs', 'host']
const index = ['index']
// Entries of their own beside the index, and built on the verbs.
const entries = ['testing', 'prometheus']

const files = (names) => names.map((name) => `lib/${name}.ts`)

const importsOf = (names, why) => ({
  regex: `^\\./(${names.join('|')})\\.js$`,
  message: why,
})

const upwards = 'Imports run one way: index -> ipvs, host -> concerns -> basis -> types.'

const onlyNative = {
  regex: '^node-gyp-build$|\\.node$',
  message: 'Only lib/native.ts loads the addon.',
}

const syntax = {
  defaultExport: {
    selector: 'ExportDefaultDeclaration',
    message: 'Exports are named.',
  },
  require: {
    selector: 'CallExpression[callee.name="createRequire"]',
    message: 'Only lib/native.ts loads the addon.',
  },
  dlopen: {
    selector: 'MemberExpression[object.name="process"][property.name="dlopen"]',
    message: 'Only lib/native.ts loads the addon.',
  },
  indexStatement: {
    selector: 'Program > :not(ExportNamedDeclaration[source], ExportAllDeclaration[source])',
    message: 'index.ts contains re-exports only.',
  },
}

const restrictImports = (...patterns) => ({ 'no-restricted-imports': ['error', { patterns }] })

const restrictSyntax = (...rules) => ({ 'no-restricted-syntax': ['error', ...rules] })

const nodeGlobals = [
  'AbortController',
  'AbortSignal',
  'Buffer',
  'URL',
  'clearInterval',
  'clearTimeout',
  'console',
  'fetch',
  'performance',
  'process',
  'setImmediate',
  'setInterval',
  'setTimeout',
]

export default defineConfig(
  {
    ignores: ['build/', 'coverage/', 'dist/', 'dist-test/', 'docs/', 'out/', 'prebuilds/', '.tap/'],
  },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  js.configs.recommended,
  {
    files: ['**/*.{js,mjs,cjs}'],
    languageOptions: {
      globals: Object.fromEntries(nodeGlobals.map((name) => [name, 'readonly'])),
    },
  },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: {
      parserOptions: {
        project: ['./tsconfig.json', './tsconfig.test.json'],
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/prefer-readonly': 'error',
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/strict-boolean-expressions': ['error', { allowNullableObject: true }],
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      eqeqeq: 'error',
      'no-console': 'error',
      ...restrictSyntax(syntax.defaultExport),
    },
  },
  {
    files: ['lib/**/*.ts'],
    rules: {
      'max-lines': ['error', { max: 300, skipBlankLines: true, skipComments: true }],
      'max-lines-per-function': ['error', { max: 60, skipBlankLines: true, skipComments: true }],
      ...restrictImports(onlyNative, importsOf([...verbs, ...index], upwards)),
      ...restrictSyntax(syntax.defaultExport, syntax.require, syntax.dlopen),
    },
  },
  {
    // A table.
    files: ['lib/meanings.ts'],
    rules: { 'max-lines': 'off' },
  },
  {
    files: files(basis),
    rules: restrictImports(onlyNative, {
      // Everything in lib but the basis itself.
      regex: `^\\./(?!(${basis.join('|')})\\.js$)`,
      message: upwards,
    }),
  },
  {
    files: ['lib/native.ts'],
    rules: {
      ...restrictImports({
        regex: `^\\./(?!(${basis.join('|')})\\.js$)`,
        message: upwards,
      }),
      ...restrictSyntax(syntax.defaultExport),
    },
  },
  {
    files: files(verbs),
    rules: restrictImports(onlyNative, importsOf(index, upwards)),
  },
  {
    // The other one that loads what may be missing.
    files: ['lib/prom-client.ts'],
    rules: restrictSyntax(syntax.defaultExport, syntax.dlopen),
  },
  {
    files: files(entries),
    rules: restrictImports(onlyNative, importsOf(index, upwards)),
  },
  {
    files: files(index),
    rules: {
      ...restrictImports(onlyNative),
      ...restrictSyntax(syntax.indexStatement, syntax.defaultExport),
    },
  },
  {
    files: ['types/**/*.d.ts'],
    rules: restrictImports({ regex: '^\\.\\./', message: 'types imports from nowhere else.' }),
  },
  {
    files: ['test/**/*.ts'],
    rules: {
      // tap hands every test a function that may or may not await, and chains
      // the promise of a test itself.
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/no-floating-promises': [
        'error',
        {
          allowForKnownSafePromises: [
            { from: 'package', name: 'PromiseWithSubtest', package: '@tapjs/core' },
          ],
        },
      ],
      '@typescript-eslint/no-empty-function': 'off',
      'no-console': 'off',
    },
  },
)
