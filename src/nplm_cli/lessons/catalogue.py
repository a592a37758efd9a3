"""The lessons in the order of the lectures; nothing is worked out here: listing them is quick."""

import re

from nplm_cli.bilingual import Language, Text
from nplm_cli.errors import ConfigError, did_you_mean
from nplm_cli.lessons.lesson import Entry

TOPICS = {
    "units": Text("Units and small networks", "神经元与小网络"),
    "training": Text("How networks learn", "网络如何学习"),
    "counts": Text("Words and counts", "词与计数"),
    "windows": Text("Feedforward language models", "前馈语言模型"),
    "recurrent": Text("Recurrent language models", "循环语言模型"),
    "attention": Text("Attention", "注意力"),
}

# What the first word of each part of ``Entry.source`` stands for.
SOURCES = {
    "SLP3": Text("Jurafsky & Martin, Speech and Language Processing (3rd ed.),",
                 " Jurafsky & Martin，《Speech and Language Processing》第三版"),
    "Zong": Text("Zong Chengqing's course, ch. 5,", "宗成庆课程第五章"),
    "HZ": Text("text-mining course of Hangzhou Normal University, lecture 7,",
               "杭州师范大学文本挖掘课程第七讲"),
}  # fmt: skip

CATALOGUE = (
    Entry(
        "neuron",
        "units",
        Text("A single unit, and its bias as one more weight", "单个神经元；偏置也是一个权重"),
        "SLP3 7.1, 7.3; HZ s. 4",
        ("W-01", "W-01b"),
    ),
    Entry(
        "activations",
        "units",
        Text("Activation functions and their slopes", "激活函数及其导数"),
        "SLP3 7.1; HZ s. 2; Zong s. 2",
        ("W-02",),
    ),
    Entry(
        "perceptron",
        "units",
        Text("The perceptron: AND, OR, and why not XOR", "感知机：与、或，以及为何没有异或"),
        "SLP3 7.2; HZ s. 3",
        ("W-03",),
    ),
    Entry(
        "xor",
        "units",
        Text("XOR by a hidden layer, given and learned", "用隐藏层解决异或：给定的与学到的"),
        "SLP3 7.2.1; HZ s. 3",
        ("W-04",),
    ),
    Entry(
        "collapse",
        "units",
        Text("Layers without an activation are one layer", "没有激活函数的多层等于一层"),
        "HZ s. 4",
        ("W-05",),
    ),
    Entry(
        "depth",
        "units",
        Text("Depth and saturation", "深度与饱和"),
        "HZ s. 2; Zong s. 2",
    ),
    Entry(
        "softmax",
        "units",
        Text("Softmax, and the sigmoid as a softmax of two", "softmax；sigmoid 是两类的 softmax"),
        "SLP3 7.3 (7.9); HZ s. 5",
        ("W-06", "W-07"),
    ),
    Entry(
        "cross-entropy",
        "units",
        Text("Cross-entropy and its gradient", "交叉熵及其梯度"),
        "HZ s. 6; SLP3 6.6 (6.25, 6.29)",
        ("W-08",),
    ),
    Entry(
        "logistic",
        "units",
        Text("A network against logistic regression", "神经网络与逻辑回归"),
        "SLP3 7.3",
    ),
    Entry(
        "graph",
        "training",
        Text("A computation graph, forward and backward", "计算图：前向与反向"),
        "SLP3 7.4.3, 6.6.3",
        ("W-11",),
    ),
    Entry(
        "backprop",
        "training",
        Text("Back-propagation, and a check of it", "反向传播及其检验"),
        "SLP3 7.4.4, 6.6 (6.35-6.43); HZ s. 6",
        ("W-09",),
    ),
    Entry(
        "l2",
        "training",
        Text("L2: large weights cost", "L2 正则化：大权重的代价"),
        "Zong s. 2 (6-2 to 6-5)",
        ("W-15",),
    ),
    Entry(
        "dropout",
        "training",
        Text("Dropout", "丢弃法（dropout）"),
        "HZ s. 6; SLP3 6.6.5",
        ("W-13",),
    ),
    Entry(
        "symmetry",
        "training",
        Text("Why weights do not start at zero", "权重为何不从零开始"),
        "HZ s. 6; SLP3 7.4",
    ),
    Entry(
        "optimizers",
        "training",
        Text("The first steps of four optimisers", "四种优化器的第一步"),
        "SLP3 7.4; HZ s. 6",
        ("W-14",),
    ),
    Entry(
        "ngram",
        "counts",
        Text("n-gram probabilities are fractions of counts", "n 元概率是计数之比"),
        "Zong s. 1",
        ("W-16a", "W-16b"),
    ),
    Entry(
        "vocabulary",
        "counts",
        Text("Three ways to cut a vocabulary", "截取词表的三种方法"),
        "Zong s. 3",
        ("W-17",),
    ),
    Entry(
        "one-hot",
        "counts",
        Text("One-hot vectors and the look-up table", "独热向量与查表"),
        "SLP3 7.5.1",
        ("W-12",),
    ),
    Entry(
        "uniform",
        "counts",
        Text("What a model that knows nothing pays", "一无所知的模型要付多少"),
        "Zong s. 3",
        ("W-39",),
    ),
    Entry(
        "ffn",
        "windows",
        Text("The feedforward language model, end to end", "前馈神经网络语言模型：从头到尾"),
        "Zong s. 3; HZ s. 5",
        ("W-10", "W-10b", "W-10c", "W-10d", "W-10f", "W-10g", "W-10h"),
    ),
    Entry(
        "generalisation",
        "windows",
        Text("Cats and dogs: what counts cannot know", "猫与狗：计数无法知道的事"),
        "SLP3 7.5.1",
        ("W-19",),
    ),
    Entry(
        "neighbors",
        "windows",
        Text("Similar words have near vectors", "相近的词，相近的向量"),
        "Zong s. 3",
        ("W-18", "W-38"),
    ),
    Entry(
        "rnn",
        "recurrent",
        Text("A recurrent network reads a sentence", "循环神经网络读一句话"),
        "Zong s. 4",
        ("W-20",),
    ),
    Entry(
        "vanishing",
        "recurrent",
        Text("Gradients that vanish and explode", "梯度消失与梯度爆炸"),
        "Zong s. 4",
        ("W-21",),
    ),
    Entry(
        "lstm",
        "recurrent",
        Text("One step of an LSTM, with and without peepholes", "LSTM 的一步：有无窥视孔"),
        "Zong s. 5",
        ("W-22", "W-22b", "W-23"),
    ),
    Entry(
        "reading-times",
        "recurrent",
        Text("Reading times and surprisal", "阅读时间与惊异度"),
        "Zong s. 5",
        ("W-24",),
    ),
    Entry(
        "attention",
        "attention",
        Text("Attention in eight steps", "注意力的八个步骤"),
        "Zong s. 6",
        ("W-26", "W-27"),
    ),
    Entry(
        "positions",
        "attention",
        Text("Sinusoidal positions and the shift identity", "正弦位置编码与平移恒等式"),
        "Zong s. 6",
        ("W-25",),
    ),
    Entry(
        "norm",
        "attention",
        Text("Layer norm and residual connections", "层归一化与残差连接"),
        "Zong s. 6",
        ("W-28",),
    ),
)


def full_source(entry: Entry, lang: Language) -> str:
    """Where a lesson comes from, names written out."""
    parts = []
    for part in entry.source.split("; "):
        key, _, place = part.partition(" ")
        if lang == "zh":
            place = re.sub(r"s\. (\d+)", r"第 \1 节", place).replace(", ", "、")
        gap = "" if place.startswith("第") else " "
        parts.append(f"{SOURCES[key].within(lang)}{gap}{place}")
    return ("；" if lang == "zh" else "; ").join(parts).replace("； ", "；")


def find(name: str) -> Entry:
    """The entry of a name. Raises ConfigError, with the nearest name, when there is none."""
    for entry in CATALOGUE:
        if entry.name == name:
            return entry
    near = did_you_mean(name.lower(), [entry.name for entry in CATALOGUE])
    raise ConfigError(f"no lesson {name!r:.60}{near} (nplm lesson lists them)")
