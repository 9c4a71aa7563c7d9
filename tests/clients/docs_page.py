"""Opens the page of endpoints in Chromium as a person would: logs in there and calls an endpoint, then with an API key.

Arguments: the gateway's port, the user's name, the password, an API key, the prefix, the page, the path of Chromium.
"""

import sys
from urllib.parse import urlsplit

from playwright.sync_api import expect, sync_playwright

port, user, password, key, prefix, path, chromium = sys.argv[1:]
origin = f"http://127.0.0.1:{port}"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]

with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=chromium, headless=True, args=FLAGS)
    page = browser.new_page(viewport={"width": 1280, "height": 1600})
    page.set_default_timeout(60_000)
    expect.set_options(timeout=60_000)
    said, asked, broken = [], [], []
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(f"error: {error}"))
    page.on("request", lambda request: asked.append(request))
    # Heard by the page itself before any of its scripts runs: the console may be quiet about some.
    page.expose_function("told", lambda what: broken.append(what))
    page.add_init_script(
        "document.addEventListener('securitypolicyviolation', (event) =>"
        " window.told(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`))"
    )
    page.goto(f"{origin}{path}")

    def me(status):
        """Calls the caller's own account and gives what the page shows of it."""
        block = page.locator("[id$='-me']").first
        if "is-open" not in (block.get_attribute("class") or ""):
            block.locator(".opblock-summary-control").click()
            block.get_by_role("button", name="Try it out").click()
        with page.expect_response(f"{origin}{prefix}/me**") as answer:
            block.get_by_role("button", name="Execute").click()
        assert answer.value.status == status, (status, answer.value.status, answer.value.text())
        expect(block.locator(".live-responses-table td.response-col_status:not(.col_header)").first).to_contain_text(str(status))
        return block.locator(".live-responses-table").inner_text()

    def dialogue():
        page.locator(".auth-wrapper .btn.authorize").first.click()
        return page.locator(".dialog-ux")

    def scheme(name):
        return page.locator(".dialog-ux .auth-container").filter(has_text=name)

    def close():
        page.locator(".dialog-ux .close-modal").click()

    def log_out(name):
        dialogue()
        scheme(name).get_by_role("button", name="Logout", exact=True).or_(scheme(name).locator("button:has-text('Logout')")).first.click()
        close()

    me(401)

    dialogue()
    form = scheme("oauth2 (OAuth2, password)")
    scopes = form.locator(".scopes label .name").all_inner_texts()
    assert scopes == ["items:read", "portcullis:account", "portcullis:admin"], scopes
    form.locator("#oauth_username").fill(user)
    form.locator("#oauth_password").fill(password)
    with page.expect_response(f"{origin}{prefix}/token") as token:
        form.locator("button.authorize").click()
    assert token.value.status == 200, (token.value.status, token.value.text())
    access = token.value.json()["access_token"]
    close()
    assert f'"{user}"' in me(200)
    log_out("oauth2 (OAuth2, password)")

    for name, secret in [("bearer (http, Bearer)", access), ("api_key (apiKey)", key), ("api_key_in_query (apiKey)", key)]:
        dialogue()
        scheme(name).locator("input").fill(secret)
        scheme(name).locator("button.authorize").click()
        close()
        assert f'"{user}"' in me(200), name
        log_out(name)
    me(401)

    elsewhere = [request.url for request in asked if urlsplit(request.url).scheme not in ("data", "blob") and not request.url.startswith(origin + "/")]
    assert not elsewhere, elsewhere
    assert not broken, broken
    wrong = [text for text in said if "Content Security Policy" in text or text.startswith("error:") and "401" not in text]
    assert not wrong, wrong
    browser.close()
    print(f"{len(asked)} requests, all to the gateway: the page holds")
