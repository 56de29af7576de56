class Signals {}
class SignalsView {}
