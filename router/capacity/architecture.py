"""The shape of a transformer, dense or mixture of experts, and how many parameters it has.

Knows counting. Knows no file and no hardware. Counts are of weights as checkpoints have them, norms and biases too.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupedAttention:
    """Attention whose key-value heads are shared by groups of query heads; one head each is the plain kind.

    experts, experts_per_token : above 1 where each token chooses among several query and output projections, while
        keys and values are shared (Shen et al., JetMoE, 2024).
    normed : numbers of the norms on queries and keys.
    """

    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    bias_qkv: bool = False
    bias_out: bool = False
    normed: int = 0
    sinks: bool = False
    experts: int = 1
    experts_per_token: int = 1

    @property
    def parameters(self) -> int:
        return self._shared + self.experts * self.projections + self._router

    @property
    def active(self) -> int:
        return self._shared + self.experts_per_token * self.projections + self._router

    @property
    def cached_numbers(self) -> int:
        """Numbers kept per token and layer: a key and a value for each key-value head."""
        return 2 * self.kv_heads * self.head_dim

    @property
    def score_numbers(self) -> int:
        """Multiplications per token looked back at: scores and sums of values, over all query heads."""
        return 2 * self.heads * self.experts_per_token * self.head_dim

    @property
    def projections(self) -> int:
        """Parameters of one set of query and output projections."""
        width = self.heads * self.head_dim
        return 2 * self.hidden * width + (width if self.bias_qkv else 0)

    @property
    def _shared(self) -> int:
        width = self.kv_heads * self.head_dim
        keys_and_values = 2 * self.hidden * width + (2 * width if self.bias_qkv else 0)
        return keys_and_values + (self.hidden if self.bias_out else 0) + self.normed + (self.heads if self.sinks else 0)

    @property
    def _router(self) -> int:
        return self.hidden * self.experts if self.experts > 1 else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentAttention:
    """Multi-head latent attention: keys and values of all heads are kept as one short vector (DeepSeek-V2, 2024).

    query_rank : None where queries are projected at once.
    """

    hidden: int
    heads: int
    query_rank: int | None
    kv_rank: int
    nope_dim: int
    rope_dim: int
    value_dim: int

    @property
    def parameters(self) -> int:
        head = self.nope_dim + self.rope_dim
        rank = self.query_rank
        query = self.hidden * self.heads * head if rank is None else rank * (self.hidden + self.heads * head + 1)
        down = self.hidden * (self.kv_rank + self.rope_dim) + self.kv_rank
        up = self.kv_rank * self.heads * (self.nope_dim + self.value_dim)
        return query + down + up + self.heads * self.value_dim * self.hidden

    @property
    def active(self) -> int:
        return self.parameters

    @property
    def cached_numbers(self) -> int:
        return self.kv_rank + self.rope_dim

    @property
    def score_numbers(self) -> int:
        """Multiplications per token looked back at, where heads attend to the short vectors themselves."""
        return self.heads * (2 * self.kv_rank + self.rope_dim)


@dataclass(frozen=True, slots=True, kw_only=True)
class Experts:
    """The feed-forward part of a layer with experts.

    count, per_token : routed experts, and how many of them each token uses.   shared : width of what every token uses.
    biased : experts and router have biases.   gated : the shared part has a gate of its own.
    """

    hidden: int
    count: int
    per_token: int
    width: int
    matrices: int = 3
    shared: int = 0
    biased: bool = False
    gated: bool = False
    router_bias: bool = False

    @property
    def one(self) -> int:
        """Parameters of one routed expert."""
        biases = (self.matrices - 1) * self.width + self.hidden if self.biased else 0
        return self.matrices * self.hidden * self.width + biases

    @property
    def always(self) -> int:
        """Parameters that every token uses: the router and the shared part."""
        router = self.hidden * self.count + (self.count if self.biased or self.router_bias else 0)
        return router + 3 * self.hidden * self.shared + (self.hidden if self.gated else 0)

    @property
    def parameters(self) -> int:
        return self.always + self.count * self.one

    @property
    def active(self) -> int:
        return self.always + self.per_token * self.one


@dataclass(frozen=True, slots=True, kw_only=True)
class Dense:
    """A feed-forward part that every token uses whole."""

    hidden: int
    width: int
    matrices: int = 3

    @property
    def parameters(self) -> int:
        return self.matrices * self.hidden * self.width

    @property
    def active(self) -> int:
        return self.parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A whole model.

    windows : for each layer the most tokens that its attention looks back, None for all.
    feed_forward : one for each layer.   norms : norm parameters of a layer beside attention's own.
    context : the most tokens that it was made for, None if it is not said.
    stored : the quantisation in which experts are published, None for the usual 16 bits.
    """

    family: str
    hidden: int
    vocabulary: int
    tied: bool
    attention: GroupedAttention | LatentAttention
    feed_forward: tuple[Dense | Experts, ...]
    windows: tuple[int | None, ...]
    norms: int
    context: int | None = None
    stored: str | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def layers(self) -> int:
        return len(self.feed_forward)

    @property
    def embedding(self) -> int:
        return self.vocabulary * self.hidden

    @property
    def parameters(self) -> int:
        """All of them; the output matrix counts where it is not the embedding itself."""
        layers = sum(part.parameters for part in self.feed_forward) + self.layers * (
            self.attention.parameters + self.norms
        )
        return layers + self.hidden + self.embedding * (1 if self.tied else 2)

    @property
    def active(self) -> int:
        """Parameters that one token uses; of the embedding it looks up one row, which still counts here whole.

        Publishers count it in (Mixtral, Qwen) or out (gpt-oss): ``active_without_embedding`` is the other figure.
        """
        layers = sum(part.active for part in self.feed_forward) + self.layers * (self.attention.active + self.norms)
        return layers + self.hidden + self.embedding * (1 if self.tied else 2)

    @property
    def active_without_embedding(self) -> int:
        """Parameters that are multiplied for one token: the output matrix once, the looked-up embedding not."""
        return self.active - (0 if self.tied else self.embedding)

    @property
    def expert_parameters(self) -> int:
        """Parameters of all routed experts, of feed-forward parts and of attention."""
        return sum(part.count * part.one for part in self.mixtures) + self._attention_experts(all_of_them=True)

    @property
    def expert_parameters_used(self) -> int:
        """Parameters of the routed experts that one token uses."""
        return sum(part.per_token * part.one for part in self.mixtures) + self._attention_experts(all_of_them=False)

    @property
    def mixtures(self) -> tuple[Experts, ...]:
        return tuple(part for part in self.feed_forward if isinstance(part, Experts))

    @property
    def expert_choice(self) -> tuple[int, int]:
        """Experts per layer, and how many of them a token uses; (1, 1) for a dense model."""
        return (self.mixtures[0].count, self.mixtures[0].per_token) if self.mixtures else (1, 1)

    def cached_numbers(self, tokens: int) -> int:
        """Numbers in the key-value cache of a sequence of so many tokens; layers with a window keep no more than it."""
        kept = sum(tokens if window is None else min(tokens, window) for window in self.windows)
        return kept * self.attention.cached_numbers

    def _attention_experts(self, *, all_of_them: bool) -> int:
        attention = self.attention
        if isinstance(attention, LatentAttention) or attention.experts == 1:
            return 0
        return self.layers * attention.projections * (attention.experts if all_of_them else attention.experts_per_token)
