// That everything public is documented, and that its comments say what they have to: each error that a
// verb rejects with, the kernel's name and type of each attribute, and what is there when an option is not.

import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import t from 'tap'
import ts from 'typescript'

import { meaningOf, Stage } from '#lib/meanings'
import type { Request } from '#lib/meanings'

const root = fileURLToPath(new URL('..', import.meta.url))

/** Each entry of the package, as it is built. */
const entries = ['index', 'testing', 'prometheus'].map((name) => `${root}dist/${name}.d.ts`)

const typeFiles = readdirSync(`${root}types`).filter(
  (name) => name.endsWith('.d.ts') && name !== 'addon.d.ts',
)

const program = ts.createProgram(entries, {
  module: ts.ModuleKind.NodeNext,
  target: ts.ScriptTarget.ES2023,
  lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
  strict: true,
  noEmit: true,
})
const checker = program.getTypeChecker()

const exportsOf = (path: string): ts.Symbol[] => {
  const file = program.getSourceFile(path)
  const symbol = file && checker.getSymbolAtLocation(file)
  if (!symbol) throw new Error(`${path} is no module of the program`)
  return checker.getExportsOfModule(symbol)
}

t.test('whatever types/ describes is exported, but for the addon', async (t) => {
  const exported = entries.flatMap(exportsOf).map(({ name }) => name)
  for (const file of typeFiles) {
    const names = exportsOf(`${root}types/${file}`).map(({ name }) => name)
    t.ok(names.length > 0, file)
    for (const name of names) t.ok(exported.includes(name), `${file}: ${name}`)
  }
})

/** The text right before a node, where it is a documentation comment. */
const commentOf = (node: ts.Node): string => {
  const text = node.getSourceFile().text
  const ranges = ts.getLeadingCommentRanges(text, node.pos) ?? []
  const last = ranges.at(-1)
  const comment = last ? text.slice(last.pos, last.end) : ''
  return comment.startsWith('/**') ? comment.replaceAll(/[/*\s]+/g, ' ').trim() : ''
}

/** The members of a type as it is written: not of the types that it names. */
const membersOf = (node: ts.Node): ts.Node[] => {
  if (ts.isInterfaceDeclaration(node) || ts.isTypeLiteralNode(node)) return [...node.members]
  if (ts.isTypeAliasDeclaration(node)) return membersOf(node.type)
  if (ts.isParenthesizedTypeNode(node)) return membersOf(node.type)
  if (ts.isUnionTypeNode(node) || ts.isIntersectionTypeNode(node)) {
    return node.types.flatMap(membersOf)
  }
  return []
}

t.test('every public type and every member of it has a documentation comment', async (t) => {
  let members = 0
  for (const file of typeFiles) {
    for (const symbol of exportsOf(`${root}types/${file}`)) {
      for (const node of symbol.declarations ?? []) {
        t.not(commentOf(node), '', `${file}: ${symbol.name}`)
        for (const member of membersOf(node)) {
          ++members
          const name = (member as ts.NamedDeclaration).name?.getText() ?? member.getText()
          t.not(commentOf(member), '', `${file}: ${symbol.name}.${name}`)
        }
      }
    }
  }
  t.ok(members > 100, 'they were found')
})

t.test('every code of an error is documented', async (t) => {
  const code = exportsOf(`${root}types/error.d.ts`).find(({ name }) => name === 'IpvsErrorCode')
  const [alias] = code?.declarations ?? []
  if (!alias || !ts.isTypeAliasDeclaration(alias) || !ts.isUnionTypeNode(alias.type)) {
    return t.fail('IpvsErrorCode is no union')
  }
  t.ok(alias.type.types.length > 20)
  // The comment of a code stands before its bar.
  const text = alias.getSourceFile().text
  for (const { pos, end } of alias.type.types) {
    const before = text.slice(0, pos).trimEnd().replace(/\|$/, '').trimEnd()
    t.match(before, /\*\/$/, text.slice(pos, end).trim())
  }
  return undefined
})

t.test('every value that is exported has a documentation comment', async (t) => {
  const values = entries.flatMap(exportsOf).filter(({ flags }) => {
    const { Class, Variable, Function: func, Alias } = ts.SymbolFlags
    return (flags & (Class | Variable | func | Alias)) !== 0
  })
  const found = values.map((symbol) =>
    (symbol.flags & ts.SymbolFlags.Alias) !== 0 ? checker.getAliasedSymbol(symbol) : symbol,
  )
  const shown = found.filter(({ flags }) => (flags & ts.SymbolFlags.Value) !== 0)
  t.same(shown.map(({ name }) => name).sort(), [
    'IpvsCollector',
    'IpvsError',
    'addressAt',
    'createFakeIpvs',
    'host',
    'ipvs',
    'openHost',
    'openIpvs',
  ])
  for (const symbol of shown) {
    t.not(ts.displayPartsToString(symbol.getDocumentationComment(checker)), '', symbol.name)
  }
})

/** Every member that a declaration writes down, however deep, but for what its members return. */
const deepMembersOf = (node: ts.Node): ts.TypeElement[] => {
  const found: ts.TypeElement[] = []
  const visit = (each: ts.Node): void => {
    if (ts.isTypeElement(each)) found.push(each)
    if (!ts.isMethodSignature(each)) ts.forEachChild(each, visit)
  }
  ts.forEachChild(node, visit)
  return found
}

/** What an editor shows of a symbol. */
const shownOf = (symbol: ts.Symbol): string =>
  ts.displayPartsToString(symbol.getDocumentationComment(checker)).replaceAll(/\s+/g, ' ')

t.test('members of members have one too, and those of classes', async (t) => {
  for (const file of typeFiles) {
    for (const symbol of exportsOf(`${root}types/${file}`)) {
      for (const member of (symbol.declarations ?? []).flatMap(deepMembersOf)) {
        t.not(commentOf(member), '', `${file}: ${symbol.name}: ${member.getText()}`)
      }
    }
  }
  const classes = entries.flatMap(exportsOf).flatMap((symbol) => {
    const isAlias = (symbol.flags & ts.SymbolFlags.Alias) !== 0
    const named = isAlias ? checker.getAliasedSymbol(symbol) : symbol
    return (named.flags & ts.SymbolFlags.Class) !== 0 ? [named] : []
  })
  t.ok(classes.length > 0)
  for (const each of classes) {
    const instance = checker.getDeclaredTypeOfSymbol(each)
    const own = [
      ...checker.getPropertiesOfType(instance),
      ...checker.getPropertiesOfType(checker.getTypeOfSymbol(each)),
    ].filter(({ declarations = [] }) =>
      declarations.some((node) => node.getSourceFile().fileName.startsWith(`${root}dist`)),
    )
    for (const member of own) {
      if (member.name === 'prototype' || /^(?:__)?#/.test(member.name)) continue
      t.not(shownOf(member), '', `${each.name}.${member.name}`)
    }
  }
})

// Errors.

/** An interface with what it extends, by the name of each member, all overloads together. */
const methodsOf = (name: string): ReadonlyMap<string, string> => {
  const symbol = entries.flatMap(exportsOf).find((each) => each.name === name)
  if (!symbol) throw new Error(`${name} is not exported`)
  const isAlias = (symbol.flags & ts.SymbolFlags.Alias) !== 0
  const type = checker.getDeclaredTypeOfSymbol(isAlias ? checker.getAliasedSymbol(symbol) : symbol)
  const methods = checker
    .getPropertiesOfType(type)
    .filter(({ name }) => !name.startsWith('__'))
    .map((member): [string, string] => {
      const comments = member.declarations?.map(commentOf) ?? []
      return [member.name, comments.join(' ')]
    })
  return new Map(methods)
}

/** What every call may meet; said once, of the interface. */
const general = {
  Ipvs: [
    'ERR_INVALID_ARG_TYPE',
    'ERR_INVALID_ARG_VALUE',
    'ERR_OUT_OF_RANGE',
    'ERR_IPVS_PERMISSION',
    'ERR_IPVS_NOT_AVAILABLE',
    'ERR_IPVS_CLOSED',
    'ERR_IPVS_MALFORMED_REPLY',
    'ERR_IPVS_TIMEOUT',
    'ERR_IPVS_OUTCOME_UNKNOWN',
    'ERR_IPVS_REFUSED',
  ],
  Host: [
    'ERR_INVALID_ARG_TYPE',
    'ERR_INVALID_ARG_VALUE',
    'ERR_OUT_OF_RANGE',
    'ERR_HOST_PERMISSION',
    'ERR_HOST_REFUSED',
    'ERR_IPVS_NOT_AVAILABLE',
    'ERR_IPVS_NO_NETNS',
    'ERR_IPVS_TIMEOUT',
    'ERR_IPVS_MALFORMED_REPLY',
    'ERR_IPVS_OUTCOME_UNKNOWN',
    'ERR_IPVS_CLOSED',
  ],
} as const

/** Linux's are 1 to 133; of 97, no IPv6, the interface itself tells. */
const errnos = Array.from({ length: 133 }, (_, index) => index + 1).filter((errno) => errno !== 97)

/** The codes that the kernel's refusals of a command become, where they say more than the errno. */
const codesOf = (command: string): string[] => {
  const request: Request = { command, what: () => command, changes: true, scheduler: 'x' }
  return errnos
    .flatMap((errno) => {
      const failure = { stage: Stage.kernel, errno, text: '' }
      return [
        meaningOf(failure, request),
        meaningOf({ ...failure, missing: 'engine' }, { ...request, engine: 'x' }),
      ]
    })
    .filter(
      ({ code, why }) => !code.endsWith('_PERMISSION') && !why.startsWith('the kernel refused: '),
    )
    .map(({ code }) => code)
}

type Verbs = Readonly<Record<string, readonly string[]>>

const noService = 'ERR_IPVS_NO_SERVICE'
const noDestination = 'ERR_IPVS_NO_DESTINATION'
const noDevice = 'ERR_HOST_NO_DEVICE'
const noSysctl = 'ERR_HOST_NO_SYSCTL'

/** What each verb says of itself beside: that of its command, or what its own code throws. */
const verbs: Readonly<Record<'Ipvs' | 'Host', Verbs>> = {
  Ipvs: {
    addService: [...codesOf('NEW_SERVICE'), 'ERR_IPVS_REFUSED'],
    editService: codesOf('SET_SERVICE'),
    patchService: [...codesOf('SET_SERVICE'), 'ERR_IPVS_REFUSED'],
    deleteService: codesOf('DEL_SERVICE'),
    getService: [noService],
    listServices: [],
    addDestination: codesOf('NEW_DEST'),
    editDestination: codesOf('SET_DEST'),
    patchDestination: codesOf('SET_DEST'),
    deleteDestination: codesOf('DEL_DEST'),
    listDestinations: codesOf('GET_DEST'),
    snapshot: [],
    stream: [],
    columns: [],
    batch: [],
    clear: codesOf('FLUSH'),
    zero: codesOf('ZERO'),
    timeouts: codesOf('GET_CONFIG'),
    setTimeouts: codesOf('SET_CONFIG'),
    overrideTimeouts: codesOf('SET_CONFIG'),
    syncDaemons: codesOf('GET_DAEMON'),
    startSyncDaemon: codesOf('NEW_DAEMON'),
    stopSyncDaemon: codesOf('DEL_DAEMON'),
    connections: [],
    totals: [],
    info: codesOf('GET_INFO'),
    close: ['ERR_IPVS_CLOSED'],
    plan: [],
    apply: ['ERR_IPVS_HELD_BACK'],
    drainDestination: [noService, noDestination, 'ERR_IPVS_CLOSED'],
    drainService: [noService],
    listDrains: [],
    save: ['ERR_IPVS_BAD_RULE'],
    restore: ['ERR_IPVS_BAD_RULE', 'ERR_IPVS_HELD_BACK'],
    saveToFile: ['ERR_IPVS_BAD_RULE', 'EACCES', 'ELOOP'],
    restoreFromFile: ['ERR_IPVS_BAD_RULE', 'ERR_IPVS_HELD_BACK', 'EINVAL'],
    watch: ['ERR_IPVS_CLOSED', 'AbortError'],
  },
  Host: {
    getSysctl: [noSysctl],
    setSysctl: [noSysctl, 'ERR_HOST_REFUSED'],
    ipForward: [noSysctl],
    ipvsSettings: [noSysctl],
    setIpvsSettings: [noSysctl],
    listAddresses: [noDevice],
    listLinks: [],
    addVip: [...codesOf('RTM_NEWADDR'), ...codesOf('announce'), noDevice],
    deleteVip: [...codesOf('RTM_DELADDR'), noDevice],
    arpSuppression: [noDevice],
    suppressArp: [noDevice],
    prepareDirector: [noDevice, noSysctl],
    prepareRealServer: [...codesOf('RTM_NEWLINK'), ...codesOf('FOU_CMD_ADD'), noDevice],
    persist: ['EACCES', 'ELOOP'],
    diagnose: [],
    close: ['ERR_IPVS_CLOSED'],
  },
}

for (const name of ['Ipvs', 'Host'] as const) {
  const methods = methodsOf(name)
  /** With the comment of whatever it "rejects as". */
  const told = (verb: string): string => {
    const own = methods.get(verb) ?? ''
    const others = own.matchAll(/\bas \{@link (?:\w+\.)?(\w+)\}/g)
    return [own, ...[...others].map(([, other = '']) => methods.get(other) ?? '')].join(' ')
  }

  t.test(`every verb of ${name} names the errors that are its own`, async (t) => {
    t.same([...methods.keys()].sort(), Object.keys(verbs[name]).sort())
    for (const [verb, codes] of Object.entries(verbs[name])) {
      for (const code of new Set(codes)) t.match(told(verb), code, `${verb}: ${code}`)
    }
  })

  t.test(`${name} names the errors that every verb may have`, async (t) => {
    const symbol = entries.flatMap(exportsOf).find((each) => each.name === name)
    const comment = symbol?.declarations?.map(commentOf).join(' ') ?? ''
    for (const code of general[name]) t.match(comment, code)
  })
}

t.test('opening names its errors', async (t) => {
  for (const [name, codes] of [
    ['openIpvs', ['ERR_IPVS_PERMISSION', 'ERR_IPVS_REFUSED']],
    ['openHost', ['ERR_HOST_PERMISSION', 'ERR_HOST_REFUSED']],
  ] as const) {
    const symbol = entries.flatMap(exportsOf).find((each) => each.name === name)
    const comment = symbol ? shownOf(checker.getAliasedSymbol(symbol)) : ''
    const both = ['ERR_IPVS_NO_NETNS', 'ERR_IPVS_NOT_AVAILABLE']
    for (const code of [...codes, ...both]) t.match(comment, code, name)
  }
})

// The kernel's names.

const header = readFileSync('/usr/include/linux/ip_vs.h', 'utf8')
/** Nests, what is only padding, and a command that is only an answer. */
const inner = /_(?:UNSPEC|PAD)$|^IPVS_CMD_ATTR_(?:SERVICE|DEST|DAEMON)$|^IPVS_CMD_SET_INFO$/
const constants = [...header.matchAll(/^\t(IPVS_\w+)/gm)]
  .map(([, name = '']) => name)
  .filter((name) => !inner.test(name))

t.test(
  "each command and attribute of the kernel's is named, attributes with their type",
  async (t) => {
    t.ok(constants.length > 60, 'they were found')
    const comments = typeFiles
      .flatMap(
        (file) => readFileSync(`${root}types/${file}`, 'utf8').match(/\/\*\*.*?\*\//gs) ?? [],
      )
      .map((comment) => comment.replaceAll(/[\s*]+/g, ' '))
    for (const name of constants) {
      const named = comments.filter((comment) => new RegExp(`\\b${name}\\b`).test(comment))
      t.not(named.length, 0, name)
      if (!name.includes('_ATTR_')) continue
      const type = /\b(?:u(?:8|16|32|64)|\d+ bytes|mask's 4 bytes|NUL-terminated text|the nest)\b/
      t.ok(
        named.some((comment) => type.test(comment)),
        `${name} with its type`,
      )
    }
  },
)

t.test('of what may be left out it is said what is there then', async (t) => {
  const isArgument = /(?:Options|Config|Settings|Filter|Profile|Key|Terms|Mask|Limits|Forwarding)$/
  let options = 0
  for (const file of typeFiles) {
    for (const symbol of exportsOf(`${root}types/${file}`)) {
      if (!isArgument.test(symbol.name) || symbol.name.startsWith('Observed')) continue
      for (const member of (symbol.declarations ?? []).flatMap(deepMembersOf)) {
        if (!ts.isPropertySignature(member) || !member.questionToken) continue
        ++options
        const text = commentOf(member)
        t.match(
          text,
          /default|without|only|absent|not needed/i,
          `${file}: ${symbol.name}: ${member.getText()}: ${text}`,
        )
      }
    }
  }
  t.ok(options > 40, 'they were found')
})
