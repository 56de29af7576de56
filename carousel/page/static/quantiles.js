class Quantiles {}
class QuantilesView {}
