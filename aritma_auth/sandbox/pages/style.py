"""The look of the identity server's pages: light or dark as the browser prefers, wide or narrow."""

STYLE = """
:root{color-scheme:light dark;--ground:#f2f5f8;--card:#ffffff;--text:#16202a;--soft:#4a5a68;
--accent:#0b5cad;--on-accent:#ffffff;--field:#5a6b7b;--edge:#d6dee6;--danger:#b3261e;
--alert:#fdecea;--code:#e9eff5}
@media(prefers-color-scheme:dark){
:root{--ground:#0e141a;--card:#17212b;--text:#eef3f7;--soft:#a9b8c6;
--accent:#7cb8f5;--on-accent:#0b1a2a;--field:#8698a8;--edge:#2c3a48;--danger:#ff8a80;
--alert:#3a1f1f;--code:#22303d}
}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;padding:1.25rem;font:1rem/1.55 system-ui,sans-serif;
background:var(--ground);color:var(--text)}
main{max-width:27rem;margin:clamp(0rem,9vh,6rem) auto 2rem;padding:2rem;background:var(--card);
border:1px solid var(--edge);border-radius:.9rem}
main.wide{max-width:64rem;margin-top:1rem}
.brand{display:flex;align-items:center;gap:.6rem;margin:0 0 1.5rem;font-weight:600;
color:var(--soft)}
.brand svg{flex:none;width:1.75rem;height:1.75rem}
h1{margin:0 0 1rem;font-size:1.5rem;line-height:1.25}
h2{margin:2rem 0 .5rem;font-size:1.1rem}
p{margin:.5rem 0}
label{display:block;margin-top:1.1rem;font-weight:600}
input{width:100%;margin-top:.3rem;padding:.7rem .8rem;font:inherit;color:var(--text);
background:var(--card);border:1px solid var(--field);border-radius:.5rem}
input[aria-invalid]{border:2px solid var(--danger)}
.buttons{display:flex;flex-wrap:wrap;gap:.6rem;margin-top:1.5rem}
button{flex:1 1 8rem;white-space:nowrap;padding:.75rem 1.2rem;font:inherit;font-weight:600;
border:1px solid var(--accent);border-radius:.5rem;background:var(--accent);
color:var(--on-accent);cursor:pointer}
button.second{background:var(--card);color:var(--accent)}
a{color:var(--accent)}
code{padding:.1rem .35rem;border-radius:.3rem;background:var(--code);font-size:.9em;
overflow-wrap:anywhere}
pre{margin:.5rem 0;padding:.8rem 1rem;overflow-x:auto;border-radius:.5rem;background:var(--code)}
pre code{padding:0;background:none}
table{width:100%;border-collapse:collapse;font-size:.95rem}
th,td{padding:.55rem .8rem .55rem 0;border-top:1px solid var(--edge);text-align:left;
vertical-align:top}
td code{white-space:nowrap}
th{color:var(--soft);font-weight:600;border-top:0}
:focus-visible{outline:3px solid var(--text);outline-offset:2px}
[role=alert]{padding:.75rem 1rem;background:var(--alert);border-left:4px solid var(--danger);
border-radius:.3rem}
footer{margin-top:2rem;padding-top:1rem;border-top:1px solid var(--edge);font-size:.85rem;
color:var(--soft)}
@media(max-width:40rem){
body{padding:.75rem}
main{padding:1.4rem}
table,tbody,tr,td{display:block}
thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
tr{padding:.7rem 0;border-top:1px solid var(--edge)}
td{padding:.1rem 0;border:0}
td code{white-space:normal}
td::before{content:attr(data-name) ": ";color:var(--soft)}
}
"""

BRAND = (
    '<p class="brand"><svg viewBox="0 0 32 32" aria-hidden="true">'
    '<rect width="32" height="32" rx="8" fill="currentColor" opacity=".18"/>'
    '<path d="M16 6 26 26H6Z" fill="none" stroke="currentColor" stroke-width="2.4" '
    'stroke-linejoin="round"/><path d="M6 21h20" stroke="currentColor" stroke-width="2.4"/></svg>'
    "Sandbox</p>"
)
