"""Settings: read once from the environment, refused by name where they mean nothing."""

from __future__ import annotations

from dataclasses import dataclass, fields

import certifi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.cli.settings import rows
from app.config import BadSetting, PlatformSettings, Settings, day_starts
from app.secret import Secret


@dataclass(frozen=True)
class Front:
    """A platform, as far as the settings look at one."""

    name: str
    base_url: str = "https://api.example/v1"
    key_variables: tuple[str, ...] = ("EXAMPLE_API_KEY", "OTHER_API_KEY")
    beta_header: str = ""
    options: tuple[object, ...] = ()


REDIS = "rediss://user:pass@redis.example:6380/1"
DOORS = (Front("gemini"), Front("codex", key_variables=()))


def read(**env: str) -> Settings:
    return Settings.from_env(env, DOORS)


def test_without_an_environment_everything_is_as_documented():
    settings = read()

    assert Settings.from_env({}) == Settings()
    assert settings == Settings(
        platforms={
            "gemini": PlatformSettings("https://api.example/v1", ()),
            "codex": PlatformSettings("https://api.example/v1", ()),
        }
    )


def test_every_setting_says_what_it_is_about():
    for one in fields(Settings):
        assert one.name == "platforms" or one.metadata["about"]


@pytest.mark.parametrize(
    "name, text, value",
    [
        ("PORT", "9000", 9000),
        ("PORT", " 9000 ", 9000),
        ("CONNECT_SECONDS", "0.5", 0.5),
        ("ROOT_OPEN", "TRUE", True),
        ("ROOT_MODELS_OPEN", "0", False),
        ("RETRY_ATTEMPT", "0", 0),
        ("GRACE_SECONDS", "0", 0.0),
        ("CORS_ORIGINS", " https://a , ,https://b ", ("https://a", "https://b")),
        ("CORS_ORIGINS", "", ()),
        ("ROOT_PLATFORM", "codex", "codex"),
        ("LOG_FILE", "", ""),
        ("REDIS_URL", REDIS, REDIS),
        ("MEDIA_S3_PREFIX", "made/by-us/", "made/by-us/"),
        ("MEDIA_S3_SECRET", "hush", Secret("hush")),
        ("UPSTREAM_CA_FILE", certifi.where(), certifi.where()),
        ("FETCH_ALLOWED_HOSTS", "a, B_1.example:8443", ("a", "B_1.example:8443")),
        (
            "FETCH_ALLOWED_HOSTS",
            "10.0.0.1,[::1]:80,[fd00::1]",
            ("10.0.0.1", "[::1]:80", "[fd00::1]"),
        ),
    ],
)
def test_a_value_is_read_as_what_its_default_is(name, text, value):
    found = getattr(read(**{f"TOKENS_{name}": text}), name.lower())

    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    "name, text",
    [
        ("PORT", ""),
        ("PORT", "8080.5"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("WORKERS", "-1"),
        ("WORKERS", "many"),
        ("ROOT_OPEN", "yes"),
        ("ROOT_OPEN", ""),
        ("SILENCE_SECONDS", "nan"),
        ("SILENCE_SECONDS", "inf"),
        ("SILENCE_SECONDS", "0"),
        ("RETRY_ATTEMPT", "-1"),
        ("ROOT_PLATFORM", "nobody"),
        ("GEMINI_BASE_URL", "api.example"),
        ("GEMINI_BASE_URL", "ftp://api.example"),
        ("GEMINI_BASE_URL", "https://"),
        ("GEMINI_BASE_URL", "https://user:pass@api.example"),
        ("GEMINI_BASE_URL", "https://api.example/v1?x=1"),
        ("GEMINI_BASE_URL", "https://api.example/v1#x"),
        ("GEMINI_BASE_URL", "https://api.example:0"),
        ("GEMINI_BASE_URL", "https://api.example:99999"),
        ("GEMINI_BASE_URL", "https://[::1"),
        ("GEMINI_BASE_URL", "https://api.example/\nv1"),
        ("UPSTREAM_CA_FILE", "/nowhere/at/all.pem"),
        ("UPSTREAM_CA_FILE", "/"),
        ("UPSTREAM_CA_FILE", __file__),
        ("PUBLIC_URL", "gateway.example"),
        ("PUBLIC_URL", "https://gateway.example/?a=b"),
        ("MEDIA_S3_ENDPOINT", "s3.example"),
        ("MEDIA_S3_ADDRESSING", "host"),
        ("MEDIA_S3_PREFIX", "made here/"),
        ("MEDIA_S3_BUCKET", "pictures"),
        ("MEDIA_MEGABYTES", "0"),
        ("REDIS_URL", "127.0.0.1:6379"),
        ("REDIS_URL", "http://127.0.0.1:6379"),
        ("REDIS_URL", "redis://"),
        ("REDIS_URL", "redis://[::1"),
        ("REDIS_URL", "redis://a:99999"),
        ("FETCH_ALLOWED_HOSTS", "http://a/"),
        ("FETCH_ALLOWED_HOSTS", "a,b/c"),
        ("FETCH_ALLOWED_HOSTS", "a:0"),
        ("FETCH_ALLOWED_HOSTS", "a:65536"),
        ("FETCH_ALLOWED_HOSTS", "a:b"),
        ("FETCH_ALLOWED_HOSTS", "::1"),
        ("FETCH_ALLOWED_HOSTS", "u@a"),
    ],
)
def test_a_value_that_means_nothing_is_refused_by_name(name, text):
    with pytest.raises(BadSetting, match=f"TOKENS_{name} "):
        read(**{f"TOKENS_{name}": text})


def test_a_password_in_an_address_that_means_nothing_is_not_shown():
    with pytest.raises(BadSetting) as told:
        read(TOKENS_REDIS_URL="http://user:canary@redis.example")
    assert "canary" not in str(told.value)


@pytest.mark.parametrize(
    "name, hint",
    [
        ("TOKENS_PROT", "; did you mean TOKENS_PORT?"),
        ("TOKENS_GEMINI_KEY", "; did you mean TOKENS_GEMINI_KEYS?"),
        ("TOKENS_PLATFORMS", ""),
        ("TOKENS_", ""),
        ("TOKENS_port", ""),
    ],
)
def test_a_name_that_is_no_setting_is_a_typo(name, hint):
    with pytest.raises(BadSetting) as refused:
        read(**{name: "1"})

    assert str(refused.value).startswith(f"there is no setting {name}")
    assert str(refused.value).endswith(hint)


def test_names_of_others_are_nobodys_business():
    assert read(TOKEN_PORT="x", tokens_port="y", PORT="z") == read()


@pytest.mark.parametrize(
    "env, keys",
    [
        ({"TOKENS_GEMINI_KEYS": "a, b ,,a"}, ("a", "b", "a")),
        ({"TOKENS_GEMINI_KEYS": "a", "EXAMPLE_API_KEY": "b"}, ("a",)),
        ({"TOKENS_GEMINI_KEYS": "", "EXAMPLE_API_KEY": "b"}, ("b",)),
        ({"EXAMPLE_API_KEY": "", "OTHER_API_KEY": "c"}, ("c",)),
        ({}, ()),
    ],
    ids=str,
)
def test_keys_are_ours_or_else_the_vendors_in_the_order_written(env, keys):
    settings = read(**env)

    found = settings.platforms["gemini"].keys
    assert [key.token for key in found] == list(map(Secret, keys))
    assert [key.label for key in found] == [f"gemini#{i + 1}" for i in range(len(keys))]
    assert settings.platforms["codex"].keys == ()


def test_an_address_of_ones_own_replaces_the_vendors():
    settings = read(TOKENS_CODEX_BASE_URL="http://127.0.0.1:9/x/")

    assert settings.platforms["codex"].base_url == "http://127.0.0.1:9/x"


def test_keys_show_themselves_nowhere():
    assert "canary" not in repr(read(TOKENS_GEMINI_KEYS="canary-1,canary-2"))


@given(
    st.dictionaries(
        st.sampled_from([f"TOKENS_{one.name.upper()}" for one in fields(Settings)])
        | st.sampled_from(["TOKENS_GEMINI_KEYS", "TOKENS_CODEX_BASE_URL", "TOKENS_X"]),
        st.text(max_size=12) | st.sampled_from(["1e400", "١", "1_0", "http://[", "-0"]),
        max_size=3,
    )
)
def test_whatever_the_environment_holds_it_is_read_or_refused(env):
    try:
        read(**env)
    except BadSetting as refused:
        assert str(refused)


# ---------------------------------------------------------------- secrets


def test_a_secret_is_equal_to_its_like_and_to_nothing_else():
    assert Secret("a") == Secret("a") != Secret("b")
    assert Secret("é") == Secret("é") and Secret("a") != "a" and not Secret("")
    assert Secret("a").reveal() == "a"


def test_beta_features_can_be_added_only_where_the_vendor_has_them() -> None:
    """C-216."""
    given = {"TOKENS_CLAUDE_BETAS": "a-1, b-2,", "TOKENS_ROOT_PLATFORM": "claude"}
    settings = Settings.from_env(given, [Front("claude", beta_header="anthropic-beta")])

    assert settings.platforms["claude"].betas == ("a-1", "b-2")
    with pytest.raises(BadSetting, match="TOKENS_CLAUDE_BETAS"):
        Settings.from_env(given, [Front("claude")])


def test_a_key_may_belong_to_groups() -> None:
    """C-147."""
    first, second = read(TOKENS_GEMINI_KEYS="a, b|team| ours |").platforms["gemini"].keys

    assert (first.groups, second.groups) == ((), ("team", "ours"))
    assert second.token.reveal() == "b"


@pytest.mark.parametrize("keys", ["a\nb", "schlüssel", "a\x00"])
def test_a_key_that_cannot_go_into_a_header_is_refused_and_not_shown(keys: str) -> None:
    with pytest.raises(BadSetting, match="TOKENS_GEMINI_KEYS holds") as told:
        read(TOKENS_GEMINI_KEYS=keys)
    assert keys not in str(told.value)


def test_a_bucket_comes_with_its_key_whose_secret_shows_itself_nowhere() -> None:
    env = {"TOKENS_MEDIA_S3_BUCKET": "b", "TOKENS_MEDIA_S3_KEY": "id"}
    settings = read(**env, TOKENS_MEDIA_S3_SECRET="hush")

    assert settings.media_s3_bucket == "b" and "hush" not in repr(settings)
    assert "hush" not in str(rows(settings))
    with pytest.raises(BadSetting, match="TOKENS_MEDIA_S3_SECRET"):
        read(**env)


@pytest.mark.parametrize("words", ["24:00", "7:30", "00:60", "noon", "00:00 ", "٠٠:٠٠", ""])
def test_a_day_begins_at_a_time_of_day(words):
    """C-239."""
    with pytest.raises(BadSetting, match="TOKENS_DAY_STARTS"):
        read(TOKENS_DAY_STARTS=words)


def test_a_day_may_begin_at_any_minute():
    assert [day_starts(words) for words in ("00:00", "16:30", "23:59")] == [0, 59400, 86340]


@pytest.mark.parametrize("words", ["", "Sliding", "moving", "fixed "])
def test_a_minute_is_the_clocks_or_slides(words):
    """C-239."""
    with pytest.raises(BadSetting, match="TOKENS_MINUTE_WINDOW should be fixed or sliding"):
        read(TOKENS_MINUTE_WINDOW=words)
    assert read(TOKENS_MINUTE_WINDOW="sliding").minute_window == "sliding"


@pytest.mark.parametrize(
    "name, says",
    [
        ("TOKENS_LEDGER_DAYS", "should be 0 or a positive number, not -1"),
        ("TOKENS_WORKERS", "should be a positive number, not -1"),
    ],
)
def test_where_nothing_may_be_meant_that_is_said(name, says):
    with pytest.raises(BadSetting, match=f"{name} {says}"):
        read(**{name: "-1"})
