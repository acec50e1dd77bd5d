"""From templates to texts. The templates of a pattern are beside it; all are our own words.

[a|b|]      one of these; brackets do not nest
{n}         a number of four digits
{money}     an amount in yuan
{code}      six digits
{surname}   a common surname
{link}      the sender's link, into .example (RFC 2606: nobody can have one)
{chat}      the sender's messenger account, made up
{number}    the sender's number, as people write it
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from numpy.random import Generator

SURNAMES: Final = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
_CHOICE: Final = re.compile(r"\[([^\[\]]*\|[^\[\]]*)\]")
_SLOT: Final = re.compile(r"\{(\w+)\}")
_HOSTS: Final = ("m-{}.example", "{}.example", "app{}.example", "{}-cn.example", "h5.{}.example")

#: Verification codes: genuine, from the services themselves, also when it is a fraudster who asks for them.
CODES: Final = (
    "【[某银行|某支付|某商城|某出行]】验证码{code}，[5|10|15]分钟内有效。[请勿告知他人|工作人员不会索取]。",
    "{code}是您的[登录|注册|支付]验证码，[如非本人操作请忽略|切勿转发他人]【[某贷|某云|某视频|某外卖]】",
    "【[某邮箱|某论坛|某票务]】您正在[修改密码|绑定手机|注册账号]，校验码：{code}。",
)
#: What people write to strangers.
REPLIES: Final = (
    "[你好|您好]，[怎么弄|怎么做|要什么条件]？",
    "[请问|]是真的吗",
    "[你是哪位|谁啊]",
    "[多少|怎么收费]？",
    "好的[，收到|]",
    "我想了解[一下|]",
)


def pick(templates: Sequence[str], rng: Generator) -> str:
    """One of them."""
    return templates[int(rng.integers(len(templates)))]


def fill(template: str, rng: Generator, *, number: str = "", link: str = "", chat: str = "") -> str:
    """The template with its choices made and its slots filled. ``number``: E.164."""
    own = {"number": number.removeprefix("+86"), "link": link, "chat": chat}
    chosen = _CHOICE.sub(lambda found: pick(found[1].split("|"), rng), template)
    return _SLOT.sub(lambda found: own[found[1]] if found[1] in own else _DRAWN[found[1]](rng), chosen)


def link(rng: Generator) -> str:
    """A link that leads nowhere."""
    host = pick(_HOSTS, rng).format(rng.bytes(3).hex())
    return f"http://{host}/{rng.bytes(2).hex()}"


def chat(rng: Generator) -> str:
    """A messenger account that nobody has, for all we know."""
    return f"{pick(('QQ', 'VX'), rng)}{rng.integers(10**8, 10**9)}"


_DRAWN: Final[dict[str, Callable[[Generator], str]]] = {
    "n": lambda rng: str(rng.integers(1000, 10_000)),
    "code": lambda rng: f"{rng.integers(1_000_000):06d}",
    "money": lambda rng: str(int(rng.integers(2, 100)) * int(10 ** rng.integers(2, 4))),
    "surname": lambda rng: SURNAMES[rng.integers(len(SURNAMES))],
}
