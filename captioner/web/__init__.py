"""The page: a local web application to browse, search and correct a library.

`app` puts the pages together, `server` runs them, `security` guards them, and `workspace` is what
requests share. A page is one module of `pages`, one template and one name in its list.

An endpoint is a function from a request to a response: a plain one runs on a thread, so it may
read an index or decode a photo; an `async` one must not block.

- Reading: `with workspace_of(request).reader() as reader:`. It never takes the writer's lock.
- Models: `workspace.describe(photo, n)` and `describe_file(name, file, n)` load model `n` when it
  is first needed. Both return a `Failure` for what cannot be read.
- Background jobs: `workspace.jobs.start(name, run)`; `run(job)` reports progress and returns soon
  after `job.stop_requested()`. Closing the workspace stops all jobs and waits for them.
- Answers: `page(request, template, ...)`; under `/api/`, `json_response(...)` and `events(...)`.
  Raise a `CaptionerError` with a reason and a remedy for whatever goes wrong; it becomes a page
  or JSON with both, and a status (`NotFoundError` 404, a `PhotoError` 422, others 400).
- Whatever changes something is a POST (or PUT, DELETE) by `send`, `submit` or `upload` of
  `static/api.js`, which set the header with the CSRF token.
"""
