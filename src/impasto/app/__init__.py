"""A web page to try methods on a photograph. `page` needs gradio; the rest does not."""
