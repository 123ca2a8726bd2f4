// The handbook's two clusters and one with tunnels, each machine configured by its profile alone: the
// demo's own chapters, with what they find as assertions.

import t from 'tap'

import { dr, nat, Report, tun } from '../../test/demo/chapters.mjs'

for (const chapter of [nat, dr, tun]) {
  for (const family of ['ipv4', 'ipv6'] as const) {
    t.test(`${chapter.name} ${family}`, async (t) => {
      let told = ''
      const report = new Report({ write: (text) => (told += text) })
      await chapter(report, family)
      t.ok(report.checks.length > 0, 'something was checked')
      for (const { what, holds, found } of report.checks) t.ok(holds, what, { found })
      if (!t.passing()) t.comment(told)
    })
  }
}
