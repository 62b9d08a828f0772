/** The page's look: light and dark, print, a phone. Contrast of text is 4.5 or more everywhere. */
export const STYLE = `
:root{color-scheme:light dark;--paper:#fff;--card:#f5f6f8;--ink:#16191d;--soft:#4c545e;--line:#d4d8de;--link:#0b57b0;
--good:#0b6b3a;--bad:#a61b1b;--warn:#7a4a00;--warn-paper:#fff4dc;
--hue-1:#56b4e9;--hue-2:#e69f00;--hue-3:#3fb58e;--hue-4:#f0e442;--hue-5:#cc79a7;--hue-6:#d98352;--hue-7:#8fa5ff;--hue-8:#b7b7b7}
@media (prefers-color-scheme:dark){:root{--paper:#14171b;--card:#1d2126;--ink:#e9ecef;--soft:#b3bac3;--line:#3a4149;--link:#8cc2ff;
--good:#6fd69c;--bad:#ff9d94;--warn:#ffcf70;--warn-paper:#33290f}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif;overflow-wrap:anywhere}
.skip{position:absolute;left:-999px}.skip:focus{left:8px;top:8px;background:var(--paper);padding:4px 8px}
header,main,footer{max-width:1040px;margin:0 auto;padding:0 16px}
h1{font-size:1.15rem;margin:20px 0 4px}h2{font-size:1.15rem;margin:36px 0 8px}h3{font-size:1rem;margin:20px 0 6px}
p{margin:6px 0;max-width:76ch}a{color:var(--link)}:focus-visible{outline:3px solid var(--link);outline-offset:2px}
nav ul{display:flex;flex-wrap:wrap;gap:4px 16px;list-style:none;padding:0;margin:8px 0}
.verdict{font-size:1.15rem;line-height:1.45}.verdict b,.good,.bad,.open{font-weight:700}
.good{color:var(--good)}.bad{color:var(--bad)}.open{color:var(--warn)}.soft{color:var(--soft)}
.warning{background:var(--warn-paper);border-left:4px solid var(--warn);padding:8px 12px;margin:10px 0}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:10px;padding:0;margin:14px 0;list-style:none}
.tiles li{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:10px 12px}
.tiles .what{color:var(--soft);font-size:.87rem}.tiles .value{font-size:1.3rem;font-weight:650;line-height:1.25}
.tiles .beside{font-size:.84rem;color:var(--soft);margin:2px 0 6px}
.badge{display:inline-block;font-size:.78rem;border:1px solid currentColor;border-radius:999px;padding:0 8px;white-space:nowrap;color:var(--soft)}
.table{overflow-x:auto}
table{border-collapse:collapse;font-size:.88rem;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:3px 10px 3px 0;border-bottom:1px solid var(--line);vertical-align:top}
td{overflow-wrap:break-word}thead th{color:var(--soft);font-weight:600}th[scope=row]{font-weight:400;min-width:9em}th[scope=rowgroup]{padding-top:12px}
.n{text-align:right;white-space:nowrap}
dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 16px;font-size:.9rem;margin:8px 0}dt{color:var(--soft)}dd{margin:0}
figure{margin:10px 0}figcaption{font-size:.87rem;color:var(--soft)}
svg{display:block;max-width:100%;height:auto}.plot{color:var(--ink);font:12px system-ui,sans-serif;background:none}.plot text{white-space:pre}
svg.strip,svg.bar{width:120px;height:14px;color:var(--ink)}svg.bar{width:100px}svg .fill{fill:var(--hue-1)}
.narrow{display:none}.key{list-style:none;padding:0;display:flex;flex-wrap:wrap;gap:2px 16px;font-size:.87rem}
.key b{display:inline-block;min-width:1.6em;text-align:center;color:#000;border-radius:3px}
${[1, 2, 3, 4, 5, 6, 7, 8].map((n) => `.hue-${n}{background:var(--hue-${n})}`).join('')}
footer{padding:24px 16px;color:var(--soft);font-size:.85rem}
@media (max-width:640px){.wide,.spare{display:none}.narrow{display:block}.tiles{grid-template-columns:1fr 1fr}dl{grid-template-columns:1fr}dd{margin-bottom:6px}th,td{padding-right:6px}th[scope=row]{min-width:7em}.tiles .value{font-size:1.2rem}}
@media print{:root{font-size:12px}nav,.skip{display:none}body{font-size:12px}section{break-inside:auto}tr,figure,.tiles li{break-inside:avoid}.table{overflow:visible}
:root{--paper:#fff;--card:#fff;--ink:#000;--soft:#333;--line:#999;--link:#000;--good:#0b6b3a;--bad:#a61b1b;--warn:#7a4a00;--warn-paper:#fff}}
`;
