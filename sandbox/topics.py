"""What the site's videos are about: each topic's words, and the look and the sound that show it."""

from __future__ import annotations

from dataclasses import dataclass

PATTERNS = ("stripes", "rings", "checks", "dots", "waves")
_SCALE = (0, 2, 4, 7, 9)
"""A pentatonic octave in semitones: neighbouring topics never sound alike."""


@dataclass(frozen=True)
class Topic:
    """One theme; `number` decides its hue, its pattern and its chord."""

    number: int
    english: tuple[str, ...]
    chinese: tuple[str, ...]

    @property
    def hue(self) -> float:
        """Place on the colour circle, 0 to 1; steps of 7 keep neighbours in the list far apart in colour."""
        return (self.number * 7 % len(TOPICS)) / len(TOPICS)

    @property
    def pattern(self) -> str:
        return PATTERNS[self.number % len(PATTERNS)]

    @property
    def pitch_hz(self) -> float:
        octave, step = divmod(self.number, len(_SCALE))
        return float(110.0 * 2 ** (octave + _SCALE[step] / 12))


_WORDS = (
    ("cat kitten purring whiskers paws napping", "猫咪 小猫 撸猫 喵星人 猫爪 打盹"),
    ("noodles dumplings hotpot recipe spicy wok", "面条 饺子 火锅 食谱 麻辣 炒锅"),
    ("basketball dunk court crossover buzzer playoffs", "篮球 扣篮 球场 过人 绝杀 季后赛"),
    ("guitar melody chorus acoustic ballad strings", "吉他 旋律 副歌 弹唱 民谣 琴弦"),
    ("mountain hiking trail summit camping sunrise", "登山 徒步 山路 山顶 露营 日出"),
    ("makeup lipstick eyeshadow skincare blush mirror", "美妆 口红 眼影 护肤 腮红 镜子"),
    ("gaming boss speedrun controller pixel quest", "游戏 首领 速通 手柄 像素 任务"),
    ("drawing sketch watercolor canvas portrait brush", "画画 素描 水彩 画布 肖像 画笔"),
    ("dance choreography hiphop stage rhythm footwork", "舞蹈 编舞 街舞 舞台 节奏 舞步"),
    ("garden seedlings roses pruning compost orchid", "花园 幼苗 玫瑰 修剪 堆肥 兰花"),
    ("robot sensor circuit soldering drone firmware", "机器人 传感器 电路 焊接 无人机 固件"),
    ("baby toddler giggle lullaby stroller bathtime", "宝宝 幼儿 咯咯笑 摇篮曲 婴儿车 洗澡"),
    ("fishing river lure trout bait tackle", "钓鱼 河边 路亚 鳟鱼 鱼饵 渔具"),
    ("yoga stretch breathing posture balance mat", "瑜伽 拉伸 呼吸 体式 平衡 垫子"),
    ("history dynasty emperor ruins museum bronze", "历史 王朝 皇帝 遗址 博物馆 青铜"),
    ("puppy dog fetch leash tail bark", "小狗 狗狗 捡球 遛狗 尾巴 汪汪"),
    ("car engine drift garage turbo racing", "汽车 引擎 漂移 车库 涡轮 赛车"),
    ("comedy prank standup joke skit laughing", "搞笑 恶作剧 脱口秀 段子 小品 大笑"),
    ("woodwork chisel carving lathe bench joinery", "木工 凿子 雕刻 车床 工作台 榫卯"),
    ("ocean diving coral turtle reef surfing", "海洋 潜水 珊瑚 海龟 礁石 冲浪"),
)
TOPICS = tuple(
    Topic(number, tuple(english.split()), tuple(chinese.split())) for number, (english, chinese) in enumerate(_WORDS)
)
