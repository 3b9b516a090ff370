# The schema of v1alpha1.Amount: a number that is not negative, or a string of the
# pattern. A schema with a type allows only one of them, and x-kubernetes-int-or-string
# no fractions. Without a type, validations apply to values of their own type only:
# pattern to strings, and minimum to numbers. The others refuse every list, every
# object, and true and false.
/pattern: \^\\+?(\[0-9\]+(\\\.\[0-9\]\*)?|\\\.\[0-9\]+)(\[KMGTPE\]i|/{
n
s/^\( *\)type: string$/\1maxItems: 0\
\1maxProperties: 0\
\1minItems: 1\
\1minProperties: 1\
\1minimum: 0\
\1not:\
\1  enum:\
\1  - true\
\1  - false\
\1x-kubernetes-preserve-unknown-fields: true/
}
