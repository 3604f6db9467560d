"""The user study: blinded pictures, balanced sessions, the raters' page, and what their answers say."""
