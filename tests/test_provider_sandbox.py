async def test_smoke(aritma_sandbox):
    import aiohttp

    import aritma_auth as aa

    c = aa.OAuthClient(
        aritma_sandbox.client.client_id,
        aritma_sandbox.client.client_secret,
        environment=aritma_sandbox.environment,
    )
    async with aa.TokenProvider(c, aa.ClientCredentialsGrant(scope="bankservice")) as tokens:
        async with aiohttp.ClientSession(
            aritma_sandbox.banking_url, middlewares=[tokens.middleware()]
        ) as bank:
            async with bank.get("api/v3/accounts/42") as r:
                assert r.status == 200, await r.text()
                print(await r.json(), r.headers)
