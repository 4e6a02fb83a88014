"""What crosses a border: records on the wire, topics, and the error tree."""
