class Classes {}
class ClassesView {}
