"""Lists and rules that change while events flow: topics in, snapshots out, and the verbs that change them."""
