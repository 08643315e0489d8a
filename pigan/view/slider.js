// The browser's slider; what the server says of its value must not pull it back while it is moved.
export default {
  template: `<input type="range" :value="current" :aria-valuetext="text" @input="move" />`,
  props: { start: Number, unit: String },
  emits: ["moved"],
  data() {
    return { current: this.start };
  },
  computed: {
    text() {
      return `${this.current}${this.unit}`;
    },
  },
  methods: {
    move(event) {
      this.current = Number(event.target.value);
      this.$emit("moved", this.current);
    },
    put(value) {
      this.current = value;
    },
  },
};
