"""The page of the web view."""

import html

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>TITLE</title>
<style>
  body { margin: 0; background: #181818; color: #eee; font: 16px system-ui, sans-serif; text-align: center }
  img { max-width: 100%; max-height: calc(100vh - 4em); display: block; margin: 0 auto }
  button { font: inherit; padding: .4em 1em; margin: .5em .2em; cursor: pointer }
  #told { margin-left: 1em; opacity: .8 }
</style>
<img id="view" alt="What the model sees">
<button data-key="pause">Pause (space)</button>
<button data-key="next">Next (n)</button>
<button data-key="save">Save (s)</button>
<button data-key="stop">Stop (q)</button>
<span id="told">waiting for the first picture</span>
<script>
  const at = path => path + location.search
  const told = document.getElementById("told")
  const press = key => fetch(at("/key/" + key), {method: "POST"})
  for (const button of document.querySelectorAll("button"))
    button.onclick = () => press(button.dataset.key)
  const keys = {" ": "pause", n: "next", s: "save", q: "stop", Escape: "stop"}
  document.onkeydown = event => {
    if (keys[event.key] && !event.repeat) { event.preventDefault(); press(keys[event.key]) }
  }
  onload = () => { document.getElementById("view").src = at("/stream") }
  const ask = setInterval(async () => {
    try {
      const {fps, frames} = await (await fetch(at("/status"))).json()
      if (frames) told.textContent = (fps ? fps.toFixed(1) + " frames/s, " : "") + frames + " frames"
    } catch {
      clearInterval(ask)
      told.textContent = "The demo has ended."
    }
  }, 500)
</script>
</html>
"""


def page(title: str) -> str:
    """The page called ``title``: the stream, frames a second, and a button and a key for each of `views.Key`."""
    return _PAGE.replace("TITLE", html.escape(title))
